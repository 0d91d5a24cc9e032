"""Selection on the GPU: from block maxima to indices, and from indices to the union tiles that sparse layers share."""

from __future__ import annotations

import torch
import triton
from torch import Tensor

from judgerlvr.hysparse.ops.segments import Segments
from judgerlvr.hysparse.ops.selection import Selection
from judgerlvr.hysparse.ops.triton.selection_kernels import select_kernel, threshold_kernel, union_kernel
from judgerlvr.hysparse.ops.triton.tile_shapes import TABLE
from judgerlvr.hysparse.ops.triton.union_tiles import UnionTiles, queries_a_tile

MOST_KEYS = 2**25
# Blocks whose scores fit in the registers of a program; a row of more is sorted in steps.
MOST_HELD = 4096
MOST_WARPS, WARP = 16, 32
# Two programs of 8 warps fit a multiprocessor: one loads while the other computes. 8 tokens fill a memory sector.
SHARED_WARPS, REGISTERS, FEWEST_TOKENS = 8, 128, 8


def select(maxima: Tensor, lse: Tensor, segments: Segments, selection: Selection, first: int, indices: Tensor) -> None:
    """Write ``indices`` [batch, kv_heads, queries, count] of the queries from ``first`` on that ``maxima`` holds.

    ``maxima`` [batch, heads, blocks, chunk] and ``lse`` [batch, heads, queries] as ``forward_kernel`` leaves them.
    The naive twin is ``ops.selection``: equal scores go to the lower block here too.
    """
    batch, heads, blocks, chunk = maxima.shape
    kept = max(2, triton.next_power_of_2(selection.count))
    in_registers = chunk > 1 and blocks <= MOST_HELD
    tiles = TABLE["select" if in_registers else "decode_select" if chunk == 1 else "select_sorted"]
    tokens, kernel = tiles.rows, select_kernel
    if in_registers:
        held = max(kept, triton.next_power_of_2(blocks))
        tokens = min(tokens, max(FEWEST_TOKENS, SHARED_WARPS * WARP * tiles.cols // held))
        warps = min(MOST_WARPS, max(1, tokens * held // (WARP * tiles.cols)))
        kernel, shape = threshold_kernel, {"HELD": held}
        options = {"num_warps": warps, "num_stages": tiles.stages, "maxnreg": REGISTERS}
    else:
        step = max(kept, min(tiles.cols, triton.next_power_of_2(blocks)))
        shape, options = {"STEP": step}, tiles.options
    kernel[(triton.cdiv(chunk, tokens), batch * indices.shape[1])](
        maxima, lse, segments.starts, indices, indices.shape[2], segments.offset, first, chunk, blocks,
        selection.count, selection.first, selection.local, selection.block,
        HEADS=heads, GROUP=heads // indices.shape[1], TOKENS=tokens, KEPT=kept, **shape, **options,
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
