"""Which queries read each key block: the selection turned round, cut into tasks of bounded size."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from benchmarks.hysparse.kernels.candidates.list_kernels import count_kernel, fill_kernel
from judgerlvr.hysparse.segments import Segments

STEP = 1024


@dataclass(frozen=True)
class ReaderLists:
    """Chosen pairs of a query and a block, grouped by span of ``span`` queries, KV head and block.

    ``entry`` int32 [pairs] is query * count + slot. The query counts from the span's first query. Task t reads
    ``size[t]`` entries from ``first[t]`` on. The task's block begins at key ``begin[t]`` of ``owner[t]``, which is
    batch * kv_heads + KV head. Span s has the tasks from ``bounds[s]`` to ``bounds[s + 1]``. All are int32. Elements
    after the last task are unwritten.
    """

    entry: Tensor
    first: Tensor
    size: Tensor
    begin: Tensor
    owner: Tensor
    bounds: Tensor
    span: int
    block: int
    count: int

    @property
    def spans(self) -> int:
        return len(self.bounds) - 1


@dataclass(frozen=True)
class Placement:
    """How pairs were placed. A bucket is a span, an owner and a key at which a block begins.

    ``counts`` int32 [spans, owners * keys] are the pairs of each bucket, and ``task_ends`` [buckets] the running sum of
    its tasks. ``ranks`` [pairs] are the pairs' numbers in their buckets.
    """

    counts: Tensor
    ranks: Tensor
    task_ends: Tensor


def reader_lists(indices: Tensor, segments: Segments, block: int, span: int, most: int) -> ReaderLists:
    """Lists of contiguous ``indices`` [batch, kv_heads, queries, count] with tasks of at most ``most`` pairs.

    A popular block has as many readers as there are queries, so the bound on a task balances the load. Pairs are
    counted and then placed. Nothing is sorted, and nothing is read back from the device. The order of a task's pairs
    may differ between runs, but each pair's result does not depend on the order.
    """
    return placed(indices, segments, block, span, most)[0]


def placed(indices: Tensor, segments: Segments, block: int, span: int, most: int) -> tuple[ReaderLists, Placement]:
    """The lists of ``reader_lists``, and how their pairs were placed."""
    batch, kv_heads, queries, count = indices.shape
    keys, spans, total = segments.keys, -(-queries // span), indices.numel()
    # Packed sequences begin anywhere, so each key position may begin a block.
    counts = indices.new_zeros(spans, batch * kv_heads * keys)
    ranks, entry, first, size, begin, owner = (torch.empty_like(indices).flatten() for _ in range(6))
    sizes = (total, queries, keys, block, span, batch * kv_heads)
    shape = {"KV_HEADS": kv_heads, "COUNT": count, "STEP": STEP}
    grid = (triton.cdiv(total, STEP),)
    count_kernel[grid](indices, segments.starts, counts, ranks, *sizes, **shape)
    ends = counts.flatten().cumsum(0, dtype=torch.int32)
    task_ends = counts.add(most - 1).div_(most, rounding_mode="floor").flatten().cumsum(0, dtype=torch.int32)
    fill_kernel[grid](
        indices,
        segments.starts,
        counts,
        ranks,
        ends,
        task_ends,
        entry,
        first,
        size,
        begin,
        owner,
        *sizes,
        most,
        **shape,
    )
    bounds = torch.nn.functional.pad(task_ends.view(spans, -1)[:, -1], (1, 0))
    lists = ReaderLists(entry, first, size, begin, owner, bounds.contiguous(), span, block, count)
    return lists, Placement(counts, ranks, task_ends)
