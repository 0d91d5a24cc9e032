"""Reader lists: which queries read each key block. The selection turned round, cut into tasks of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from judgerlvr.hysparse.ops.segments import Segments
from judgerlvr.hysparse.ops.triton.list_kernels import count_kernel, fill_kernel

STEP = 1024


@dataclass(frozen=True)
class Launch:
    """Sections from ``low`` to ``high``: the ``queries`` from ``begin_query`` on of the ``owners`` from
    ``first_owner`` on.
    """

    low: int
    high: int
    begin_query: int
    queries: int
    first_owner: int

    @property
    def owners(self) -> int:
        return self.high - self.low


@dataclass(frozen=True)
class ReaderLists:
    """Chosen pairs of a query and a block, grouped by span of ``span`` queries, owner and block.

    An owner is a KV head of a batch row: batch * kv_heads + KV head. A section is a span of one owner. Sections ascend
    by span and then owner. Section n has the tasks from ``bounds[n]`` to ``bounds[n + 1]``. Task t reads ``size[t]``
    entries from ``first[t]`` on. The task's block begins at key ``begin[t]`` of ``owner[t]``. ``entry`` [pairs] is
    query * count + slot. The query counts from the span's first query. All are int32. ``indices`` [batch, kv_heads,
    queries, count] are the selection.
    """

    entry: Tensor
    first: Tensor
    size: Tensor
    begin: Tensor
    owner: Tensor
    bounds: Tensor
    indices: Tensor
    span: int
    block: int

    @property
    def tasks(self) -> tuple[Tensor, ...]:
        """Entries, and the tasks' first entry, size, block and owner, as the kernels take them."""
        return self.entry, self.first, self.size, self.begin, self.owner

    @property
    def count(self) -> int:
        return self.indices.shape[3]

    @property
    def owners(self) -> int:
        return self.indices.shape[0] * self.indices.shape[1]

    @property
    def pairs(self) -> int:
        """Most pairs of a section."""
        return self.span * self.count

    def launches(self, at_once: int) -> Iterator[Launch]:
        """One launch for each span and for up to ``at_once`` of its owners."""
        queries = self.indices.shape[2]
        for number, begin in enumerate(range(0, queries, self.span)):
            for first in range(0, self.owners, at_once):
                low, high = (number * self.owners + end for end in (first, min(first + at_once, self.owners)))
                yield Launch(low, high, begin, min(self.span, queries - begin), first)


@dataclass(frozen=True)
class Placement:
    """How pairs were placed. A bucket is a section and a key at which a block begins.

    ``counts`` int32 [sections, keys] are the pairs of each bucket. ``task_ends`` [buckets] is the running sum of the
    buckets' tasks. ``ranks`` [pairs] are the pairs' numbers in their buckets.
    """

    counts: Tensor
    ranks: Tensor
    task_ends: Tensor


def reader_lists(indices: Tensor, segments: Segments, block: int, span: int, most: int) -> ReaderLists:
    """Lists of contiguous ``indices`` [batch, kv_heads, queries, count] with tasks of at most ``most`` pairs.

    A popular block has as many readers as there are queries, so the bound on a task balances the load. Pairs are
    counted and then placed, and nothing is sorted. The order of a task's pairs may differ between runs, but each pair's
    result does not depend on the order.
    """
    return placed(indices, segments, block, span, most)[0]


def placed(indices: Tensor, segments: Segments, block: int, span: int, most: int) -> tuple[ReaderLists, Placement]:
    """The lists of ``reader_lists``, and how their pairs were placed."""
    batch, kv_heads, queries, count = indices.shape
    sections, total = -(-queries // span) * batch * kv_heads, indices.numel()
    # Packed sequences begin anywhere, so each key position may begin a block.
    counts = indices.new_zeros(sections, segments.keys)
    ranks, entry = (indices.new_empty(total) for _ in range(2))
    sizes = (total, queries, segments.keys, block, span, batch * kv_heads)
    shape = {"KV_HEADS": kv_heads, "COUNT": count, "STEP": STEP}
    grid = (triton.cdiv(total, STEP),)
    count_kernel[grid](indices, segments.starts, counts, ranks, *sizes, **shape)
    ends = counts.flatten().cumsum(0, dtype=torch.int32)
    task_ends = tasks_of(counts, most).cumsum(0, dtype=torch.int32)
    # The host waits here, because tables as long as the pairs would hold 16 bytes a pair for each hybrid block.
    first, size, begin, owner = (indices.new_empty(int(task_ends[-1])) for _ in range(4))
    fill_kernel[grid](
        indices, segments.starts, counts, ranks, ends, task_ends, entry, first, size, begin, owner, *sizes, most,
        **shape,
    )  # fmt: skip
    lists = ReaderLists(entry, first, size, begin, owner, section_bounds(task_ends, sections), indices, span, block)
    return lists, Placement(counts, ranks, task_ends)


def tasks_of(counts: Tensor, most: int) -> Tensor:
    """Tasks of each bucket, flat."""
    return counts.add(most - 1).div_(most, rounding_mode="floor").flatten()


def section_bounds(ends: Tensor, sections: int) -> Tensor:
    """Bounds [sections + 1] of running sums ``ends`` over all buckets."""
    return torch.nn.functional.pad(ends.view(sections, -1)[:, -1], (1, 0)).contiguous()
