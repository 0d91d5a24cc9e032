"""Reader lists in ascending order, with a slot for each task that may not add to its block's gradients at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from judgerlvr.hysparse.ops.segments import Segments
from judgerlvr.hysparse.ops.triton.list_kernels import slot_kernel
from judgerlvr.hysparse.ops.triton.reader_lists import STEP, ReaderLists, placed, section_bounds, tasks_of


@dataclass(frozen=True)
class OrderedLists:
    """Reader lists whose pairs ascend by query in each block, so that sums over readers repeat bitwise.

    Section n has the slots from ``slot_bounds[n]`` to ``slot_bounds[n + 1]``. A block's first task in a section has
    ``slot`` -1, and each further task a slot of its own. ``follower[slot]`` is the block's second task, or -1 at the
    later tasks' slots. All are int32. No task holds more than ``most`` pairs.
    """

    lists: ReaderLists
    slot: Tensor
    slot_bounds: Tensor
    follower: Tensor
    most: int


def ordered_lists(indices: Tensor, segments: Segments, block: int, span: int, most: int) -> OrderedLists:
    """Ordered lists of contiguous ``indices`` [batch, kv_heads, queries, count]."""
    batch, kv_heads, queries, count = indices.shape
    lists, place = placed(indices, segments, block, span, most)
    slot_ends = tasks_of(place.counts, most).sub_(1).clamp_(min=0).cumsum(0, dtype=torch.int32)
    slot, follower = torch.empty_like(lists.first), torch.empty_like(lists.first)
    slot_kernel[(triton.cdiv(indices.numel(), STEP),)](
        indices, segments.starts, place.counts, place.ranks, place.task_ends, slot_ends, slot, follower,
        indices.numel(), queries, segments.keys, block, span, batch * kv_heads, most,
        KV_HEADS=kv_heads, COUNT=count, STEP=STEP,
    )  # fmt: skip
    lists.entry.copy_(ascending(indices, segments, block, span))
    return OrderedLists(lists, slot, section_bounds(slot_ends, len(place.counts)), follower, most)


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
    order = bucket.masked_fill_(indices < 0, spans * owners * keys).flatten().sort(stable=True).indices.int()
    return order // count % queries % span * count + order % count
