"""Union tiles: neighbouring queries share the key blocks that any of them selected, each masked by a bit a query.

A query group of 4 heads alone would fill a quarter of the smallest matrix instruction and read every block from
cache for itself; 16 neighbouring queries together fill it and share their reads.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from judgerlvr.hysparse.ops.selection import PADDING
from judgerlvr.hysparse.segments import Segments

ROWS = 64
BITS = 64


def queries_a_tile(group: int) -> int:
    """Neighbouring queries in a tile: enough for 64 rows of queries x heads, at least 8 and at most 64."""
    return min(BITS, max(8, ROWS // group))


@dataclass(frozen=True)
class UnionTiles:
    """Selected blocks of each tile of ``width`` queries, per batch row and KV head.

    ``begin`` [batch, kv_heads, tiles, slots] int32: key index at which a block begins, ascending; only the first
    ``count`` [batch, kv_heads, tiles] slots hold one. ``bits`` int64, same shape: bit i is set when query i of the
    tile selected the block.
    """

    begin: Tensor
    bits: Tensor
    count: Tensor
    width: int


def union_tiles(indices: Tensor, segments: Segments, block: int, width: int) -> UnionTiles:
    """Union of the selections of every ``width`` neighbouring queries; nothing is read back to the host."""
    batch, kv_heads, queries, chosen = indices.shape
    beyond = segments.keys
    begins = segments.starts[:, None, :, None] + indices.long() * block
    begins = begins.masked_fill(indices == PADDING, beyond)
    short = -queries % width
    begins = torch.nn.functional.pad(begins, (0, 0, 0, short), value=beyond)
    flat, order = begins.reshape(batch, kv_heads, -1, width * chosen).sort(dim=-1, stable=True)
    fresh = torch.ones_like(flat, dtype=torch.bool)
    fresh[..., 1:] = flat[..., 1:] != flat[..., :-1]
    slot = fresh.cumsum(-1) - 1
    bit = torch.ones_like(order) << (order // chosen)
    # a query names a block once, so adding its bit sets it
    bits = torch.zeros_like(flat).scatter_add(-1, slot, bit)
    begin = torch.full_like(flat, beyond).scatter(-1, slot, flat)
    count = (begin < beyond).sum(-1)
    return UnionTiles(begin.int(), bits, count.int(), width)


@dataclass(frozen=True)
class BlockReaders:
    """The union's entries sorted by where their block begins: who reads each tile of keys.

    ``entry`` [batch, kv_heads, tiles * slots] indexes the flattened union; those of key tile n are
    ``entry[low[n] : high[n]]``, blocks that overlap it. ``low`` and ``high`` are [batch, kv_heads, key tiles], as is
    ``order``: the key tiles, those with the most readers first.
    """

    entry: Tensor
    low: Tensor
    high: Tensor
    order: Tensor


def block_readers(union: UnionTiles, keys: int, block: int) -> BlockReaders:
    """Invert the union, for a backward pass that owns keys and so needs no atomic additions."""
    begins, entry = union.begin.flatten(2).sort(dim=-1, stable=True)
    tiles = torch.arange(0, keys, block, device=begins.device, dtype=begins.dtype)
    edges = tiles.expand(*begins.shape[:2], -1).contiguous()
    low = torch.searchsorted(begins, edges - block, right=True)
    last = torch.minimum(edges + block, torch.full_like(edges, keys))
    high = torch.searchsorted(begins, last)
    order = (high - low).argsort(dim=-1, descending=True, stable=True)
    return BlockReaders(entry.int(), low.int(), high.int(), order.int())


def mean_union(union: UnionTiles) -> float:
    """Mean number of blocks a tile reads; between the blocks of one query and those of ``width`` strangers."""
    return union.count.double().mean().item()
