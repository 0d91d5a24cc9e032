"""Union tiles: neighbouring queries share the key blocks that any of them selected, masked by a bit a query.

A query group of 4 heads alone would fill a quarter of the smallest matrix instruction, and would read every block from
cache alone. 16 neighbouring queries together fill the instruction and share their reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from judgerlvr.hysparse.ops.segments import Segments
from judgerlvr.hysparse.ops.selection import PADDING

BITS = 64
SMALLEST_PRODUCT = 16


def queries_a_tile(group: int, rows: int = 64) -> int:
    """Neighbouring queries in a tile of ``rows`` queries x heads, the size of a matrix instruction. 64 at most."""
    return min(BITS, max(1, SMALLEST_PRODUCT // group, rows // group))


@dataclass(frozen=True)
class UnionTiles:
    """Selected blocks of ``block`` keys of each tile of ``width`` queries, per batch row and KV head.

    ``begin`` [batch, kv_heads, tiles, slots] int32: key index at which a block begins, ascending. Only the first
    ``count`` [batch, kv_heads, tiles] slots hold a block. Later slots hold ``keys``, the length of the key axis.
    ``bits`` int64, same shape: bit i is set if query i of the tile selected the block.
    """

    begin: Tensor
    bits: Tensor
    count: Tensor
    width: int
    keys: int
    block: int

    @cached_property
    def readers(self) -> BlockReaders:
        """Readers of each tile of keys, computed at the first backward pass for all layers that share the union."""
        return block_readers(self)


def union_tiles(indices: Tensor, segments: Segments, block: int, width: int) -> UnionTiles:
    """Union of the selections of every ``width`` neighbouring queries: the naive twin of ``union_kernel``."""
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
    # A query names a block once, so adding its bit sets the bit.
    bits = torch.zeros_like(flat).scatter_add(-1, slot, bit)
    begin = torch.full_like(flat, beyond).scatter(-1, slot, flat)
    count = (begin < beyond).sum(-1)
    return UnionTiles(begin.int(), bits, count.int(), width, segments.keys, block)


@dataclass(frozen=True)
class BlockReaders:
    """The entries of the union, sorted by where their block begins: the readers of each tile of keys.

    ``entry`` [batch, kv_heads, tiles * slots] indexes the flattened union. Key tile n has the entries ``entry[low[n] :
    high[n]]``, whose blocks overlap the tile. ``low`` and ``high`` are [batch, kv_heads, key tiles]. ``order`` has the
    same shape and lists the key tiles, tiles with the most readers first.
    """

    entry: Tensor
    low: Tensor
    high: Tensor
    order: Tensor


def block_readers(union: UnionTiles) -> BlockReaders:
    """Invert the union for a backward pass that owns keys and therefore needs no atomic additions."""
    keys, block = union.keys, union.block
    begins, entry = union.begin.flatten(2).sort(dim=-1, stable=True)
    tiles = torch.arange(0, keys, block, device=begins.device, dtype=begins.dtype)
    edges = tiles.expand(*begins.shape[:2], -1).contiguous()
    low = torch.searchsorted(begins, edges - block, right=True)
    last = torch.minimum(edges + block, torch.full_like(edges, keys))
    high = torch.searchsorted(begins, last)
    order = (high - low).argsort(dim=-1, descending=True, stable=True)
    return BlockReaders(entry.int(), low.int(), high.int(), order.int())


def mean_union(union: UnionTiles) -> float:
    """Mean number of blocks that a tile reads, between the blocks of one query and of ``width`` strangers."""
    return union.count.double().mean().item()
