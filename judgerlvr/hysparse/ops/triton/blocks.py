"""Selection on the GPU: from block maxima to indices, and from indices to the union tiles that sparse layers share."""

from __future__ import annotations

import torch
import triton
from torch import Tensor

from judgerlvr.hysparse.ops.selection import Selection
from judgerlvr.hysparse.ops.triton.launch import TABLE
from judgerlvr.hysparse.ops.triton.select import select_kernel, union_kernel
from judgerlvr.hysparse.ops.triton.tiles import UnionTiles, queries_a_tile
from judgerlvr.hysparse.segments import Segments

MOST_KEYS = 2**25


def select(maxima: Tensor, lse: Tensor, segments: Segments, selection: Selection, first: int, indices: Tensor) -> None:
    """Write ``indices`` [batch, kv_heads, queries, count] of the queries from ``first`` on that ``maxima`` holds.

    ``maxima`` [batch, heads, blocks, chunk] and ``lse`` [batch, heads, queries] as ``forward_kernel`` leaves them.
    The naive twin is ``ops.selection``: equal scores go to the lower block here too.
    """
    batch, heads, blocks, chunk = maxima.shape
    tiles = TABLE["decode_select" if chunk == 1 else "select"]
    kept = max(2, triton.next_power_of_2(selection.count))
    step = max(kept, min(tiles.cols, triton.next_power_of_2(blocks)))
    select_kernel[(triton.cdiv(chunk, tiles.rows), batch * indices.shape[1])](
        maxima, lse, segments.starts, indices, indices.shape[2], segments.offset, first, chunk, blocks,
        selection.count, selection.first, selection.local, selection.block,
        HEADS=heads, GROUP=heads // indices.shape[1], TOKENS=tiles.rows, KEPT=kept, STEP=step,
        **tiles.options,
    )  # fmt: skip


def share(indices: Tensor, segments: Segments, block: int, group: int) -> UnionTiles:
    """Union tiles of ``indices``, built once for all sparse layers that follow a full layer.

    ``group`` is the number of query heads a KV head. Raises ValueError beyond 2 ** 25 keys.
    """
    if segments.keys > MOST_KEYS:
        raise ValueError(f"no Triton kernel for {segments.keys} keys; {MOST_KEYS} are the most")
    batch, kv_heads, queries, count = indices.shape
    width = queries_a_tile(group, TABLE["sparse_forward"].rows)
    tiles, slots = triton.cdiv(queries, width), width * count
    begin = torch.full((batch, kv_heads, tiles, slots), segments.keys, dtype=torch.int32, device=indices.device)
    bits = torch.zeros((batch, kv_heads, tiles, slots), dtype=torch.int64, device=indices.device)
    counts = torch.empty((batch, kv_heads, tiles), dtype=torch.int32, device=indices.device)
    union_kernel[(tiles, batch * kv_heads)](
        indices.contiguous(), segments.starts, begin, bits, counts, queries, count, slots, block,
        KV_HEADS=kv_heads, WIDTH=width, KEPT=triton.next_power_of_2(count),
    )  # fmt: skip
    return UnionTiles(begin, bits, counts, width, segments.keys, block)
