"""Reader lists in ascending order, with a slot for each task that may not add to its block's gradients at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from benchmarks.hysparse.kernels.candidates.list_kernels import slot_kernel
from benchmarks.hysparse.kernels.candidates.reader_lists import STEP, ReaderLists, placed
from judgerlvr.hysparse.segments import Segments


@dataclass(frozen=True)
class OrderedLists:
    """Reader lists whose pairs ascend by query in each block, so that sums over readers repeat bitwise.

    A section is a span of one owner, sections ascend by span and then owner. Section n has the tasks from
    ``bounds[n]`` to ``bounds[n + 1]``, and the slots from ``slot_bounds[n]`` to ``slot_bounds[n + 1]``. A block's first
    task in a section has ``slot`` -1, and each further task a slot of its own. ``follower[slot]`` is the block's second
    task, or -1 at the later tasks' slots. All are int32.
    """

    lists: ReaderLists
    indices: Tensor
    bounds: Tensor
    slot: Tensor
    slot_bounds: Tensor
    follower: Tensor
    most: int

    @property
    def tables(self) -> tuple[Tensor, ...]:
        """Entries, and the tasks' first entry, size, block and owner."""
        lists = self.lists
        return lists.entry, lists.first, lists.size, lists.begin, lists.owner


def ordered_lists(indices: Tensor, segments: Segments, block: int, span: int, most: int) -> OrderedLists:
    """Ordered lists of ``indices`` [batch, kv_heads, queries, count]. Nothing is read back from the device."""
    indices = indices.contiguous()
    batch, kv_heads, queries, count = indices.shape
    lists, place = placed(indices, segments, block, span, most)
    sections = lists.spans * batch * kv_heads
    tasks = place.counts.add(most - 1).div_(most, rounding_mode="floor").flatten()
    slot_ends = tasks.sub_(1).clamp_(min=0).cumsum(0, dtype=torch.int32)
    slot, follower = torch.empty_like(lists.first), torch.empty_like(lists.first)
    slot_kernel[(triton.cdiv(indices.numel(), STEP),)](
        indices, segments.starts, place.counts, place.ranks, place.task_ends, slot_ends, slot, follower,
        indices.numel(), queries, segments.keys, block, span, batch * kv_heads, most,
        KV_HEADS=kv_heads, COUNT=count, STEP=STEP,
    )  # fmt: skip
    lists.entry.copy_(ascending(indices, segments, block, span))
    edges = [section_bounds(ends, sections) for ends in (place.task_ends, slot_ends)]
    return OrderedLists(lists, indices, edges[0], slot, edges[1], follower, most)


def section_bounds(ends: Tensor, sections: int) -> Tensor:
    """Bounds [sections + 1] of running sums ``ends`` over all buckets."""
    return torch.nn.functional.pad(ends.view(sections, -1)[:, -1], (1, 0)).contiguous()


def ascending(indices: Tensor, segments: Segments, block: int, span: int) -> Tensor:
    """Entries int32 [pairs], sorted by span, owner, block, query and slot. Padding comes last."""
    batch, kv_heads, queries, count = indices.shape
    owners, keys = batch * kv_heads, segments.keys
    device, spans = indices.device, -(-queries // span)
    size = torch.int32 if spans * owners * keys < 2**31 else torch.int64
    owner = torch.arange(owners, dtype=size, device=device).view(batch, kv_heads, 1, 1)
    section = torch.arange(queries, dtype=size, device=device).div_(span, rounding_mode="floor")[:, None] * owners
    begin = segments.starts.to(size)[:, None, :, None] + indices * block
    bucket = (section + owner) * keys + begin
    order = bucket.masked_fill_(indices < 0, spans * owners * keys).flatten().sort(stable=True).indices
    query = order // count % queries
    return (query % span * count + order % count).int()
