"""Which queries read each key block: the selection turned round, cut into tasks of bounded size."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from judgerlvr.hysparse.ops.selection import PADDING
from judgerlvr.hysparse.segments import Segments

MOST_INT32 = 2**31 - 1


@dataclass(frozen=True)
class ReaderLists:
    """Chosen pairs of a query and a block, in spans of ``span`` queries, sorted by block inside a span and KV head.

    ``entry`` int32 [spans, batch * kv_heads, span * count] is query * count + slot. The query counts from the span's
    first query. ``begin`` int32, same shape, is the key index at which the pair's block begins. Pairs without a block
    come last and begin at ``keys``. Task t reads ``size[t]`` pairs from the flat index ``first[t]`` on, all of one
    block. Span s has the tasks from ``bounds[s]`` to ``bounds[s + 1]``. All are int32.
    """

    entry: Tensor
    begin: Tensor
    first: Tensor
    size: Tensor
    bounds: Tensor
    span: int
    keys: int
    block: int


def reader_lists(indices: Tensor, segments: Segments, block: int, span: int, most: int) -> ReaderLists:
    """Lists of ``indices`` [batch, kv_heads, queries, count] with tasks of at most ``most`` pairs.

    Nothing is read back from the device. Popular blocks have as many readers as there are queries. The bound on a
    task therefore balances the load.
    """
    batch, kv_heads, queries, count = indices.shape
    keys, pairs = segments.keys, span * count
    begins = (segments.starts[:, None, :, None] + indices.long() * block).masked_fill(indices == PADDING, keys)
    begins = torch.nn.functional.pad(begins, (0, 0, 0, -queries % span), value=keys)
    begins = begins.view(batch * kv_heads, -1, pairs).transpose(0, 1)
    part = torch.arange(begins.shape[0] * begins.shape[1], device=indices.device).view(*begins.shape[:2], 1)
    wide = part.numel() * (keys + 1) > MOST_INT32
    # One flat sort: torch sorts a few long rows one after the other.
    keyed = (part * (keys + 1) + begins).to(torch.int64 if wide else torch.int32).flatten()
    keyed, order = keyed.sort(stable=True)
    held = keyed % (keys + 1) < keys
    first, size, number = tasks_of(keyed, held, most)
    ends = number.view(begins.shape[0], -1)[:, -1] + 1
    bounds = torch.nn.functional.pad(ends, (1, 0))
    shape = (*begins.shape[:2], pairs)
    entry, begin = (order % pairs).int().view(shape), (keyed % (keys + 1)).int().view(shape)
    return ReaderLists(entry, begin, first, size, bounds.int(), span, keys, block)


def tasks_of(keyed: Tensor, held: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """First pair and size of each task, and number of tasks opened up to each pair, less one.

    A task opens at every ``most``-th pair of a run of equal ``keyed``. Pairs that are not ``held`` belong to no task.
    """
    place = torch.arange(len(keyed), device=keyed.device, dtype=torch.int32)
    fresh = torch.ones_like(held)
    fresh[1:] = keyed[1:] != keyed[:-1]
    opens = held & ((place - torch.where(fresh, place, 0).cummax(0).values) % most == 0)
    number = opens.cumsum(0) - 1
    # The last element takes what belongs to no task, so that shapes do not depend on values.
    nowhere = len(keyed)
    size = place.new_zeros(nowhere + 1).scatter_add_(0, number.where(held, nowhere), torch.ones_like(place))
    first = place.new_zeros(nowhere + 1).scatter_(0, number.where(opens, nowhere), place)
    return first, size, number
