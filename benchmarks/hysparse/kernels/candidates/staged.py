"""Second candidate: two union tiles share staged blocks, and each skips the blocks that none of its queries chose."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from benchmarks.hysparse.kernels.candidates.staged_kernels import staged_kernel
from judgerlvr.hysparse.ops.triton.attention import dense, shape_of
from judgerlvr.hysparse.ops.triton.selection_kernels import union_kernel
from judgerlvr.hysparse.ops.triton.tile_shapes import rows_of, tiles_of
from judgerlvr.hysparse.ops.triton.union_tiles import BITS, UnionTiles, queries_a_tile
from judgerlvr.hysparse.segments import Segments


@dataclass(frozen=True)
class StagedOptions:
    """Sizes that may be tuned. ``rows`` of one of the two tiles are queries times heads."""

    rows: int = 64
    warps: int = 4
    stages: int = 2


def union_of(indices: Tensor, segments: Segments, block: int, group: int, options: StagedOptions) -> UnionTiles:
    """Union of the selections of two neighbouring tiles. 64 queries at most share a union."""
    width = 2 * min(BITS // 2, queries_a_tile(group, options.rows))
    batch, kv_heads, queries, count = indices.shape
    tiles, slots = triton.cdiv(queries, width), width * count
    shape, device = (batch, kv_heads, tiles, slots), indices.device
    begin = torch.full(shape, segments.keys, dtype=torch.int32, device=device)
    bits = torch.zeros(shape, dtype=torch.int64, device=device)
    counts = torch.empty(shape[:3], dtype=torch.int32, device=device)
    union_kernel[(tiles, batch * kv_heads)](
        indices.contiguous(), segments.starts, begin, bits, counts, queries, count, slots, block,
        KV_HEADS=kv_heads, WIDTH=width, KEPT=triton.next_power_of_2(count),
    )  # fmt: skip
    return UnionTiles(begin, bits, counts, width, segments.keys, block)


def forward(
    q: Tensor, k: Tensor, v: Tensor, union: UnionTiles, segments: Segments, options: StagedOptions,
    sinks: Tensor | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Output like q and log normaliser float32 [batch, heads, queries]. Shapes are those of ``kv_outer.forward``."""
    q, k, v = dense(q, k, v)
    out, lse = torch.empty_like(q), q.new_empty(q.shape[:3], dtype=torch.float32)
    group, width = q.shape[1] // k.shape[1], union.width // 2
    tiles, slots = union.begin.shape[2:]
    staged_kernel[(tiles, k.shape[0] * k.shape[1])](
        tiles_of(q, group, width), rows_of(k, union.block), rows_of(v, union.block), sinks,
        union.begin, union.bits, union.count, tiles_of(out, group, width), lse,
        q.shape[2], k.shape[2], segments.offset, slots, q.shape[-1] ** -0.5, **shape_of(q, k), WIDTH=width,
        BLOCK=union.block, HAS_SINKS=sinks is not None, STAGES=options.stages, num_warps=options.warps,
    )  # fmt: skip
    return out, lse
