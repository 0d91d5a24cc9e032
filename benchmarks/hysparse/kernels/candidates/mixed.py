"""Third candidate: blocks that many neighbours share go through union tiles, other blocks through reader lists.

The choice is made on the device for each block of each tile. With much overlap the present kernel does the work. With
little overlap the kernel that owns key blocks does the work.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import triton
from torch import Tensor

from benchmarks.hysparse.kernels.candidates.kv_outer import OuterOptions, Partials, lists_of
from benchmarks.hysparse.kernels.candidates.mixed_kernels import mixed_kernel, split_kernel
from benchmarks.hysparse.kernels.candidates.reader_lists import ReaderLists
from judgerlvr.hysparse.ops.triton.attention import dense
from judgerlvr.hysparse.ops.triton.selection import share
from judgerlvr.hysparse.ops.triton.tile_shapes import TABLE, rows_of, tiles_of
from judgerlvr.hysparse.ops.triton.union_tiles import UnionTiles, queries_a_tile
from judgerlvr.hysparse.segments import Segments


@dataclass(frozen=True)
class MixedOptions:
    """``least`` queries of a tile share a block that goes through the union. ``outer`` are the other blocks' sizes.

    A visit of a block by a tile took 4.6 ns of an H200 (6.87 ms over 1.5 M visits). A pair is to take 0.7 ns, so the
    union should win from 6 or 7 sharing queries on [calculated].
    """

    least: int = 6
    tile_warps: int = 4
    tile_stages: int = 3
    tile_registers: int = 255
    outer: OuterOptions = field(default_factory=OuterOptions)


@dataclass(frozen=True)
class MixedShare:
    """What all sparse layers after a full layer share. ``alone`` holds the indices that the lists hold, else -1."""

    union: UnionTiles
    alone: Tensor
    lists: ReaderLists


def split(indices: Tensor, segments: Segments, block: int, width: int, least: int) -> tuple[Tensor, Tensor]:
    """Indices that at least ``least`` of ``width`` neighbouring queries chose, and the others, each padded with -1."""
    batch, kv_heads, queries, count = indices.shape
    shared, alone = torch.empty_like(indices), torch.empty_like(indices)
    split_kernel[(triton.cdiv(queries, width), batch * kv_heads)](
        indices, segments.starts, shared, alone, queries, count, block, least,
        KV_HEADS=kv_heads, WIDTH=width, KEPT=triton.next_power_of_2(count),
    )  # fmt: skip
    return shared, alone


def share_of(indices: Tensor, segments: Segments, block: int, group: int, options: MixedOptions) -> MixedShare:
    """Divide the indices, join the shared ones and list the readers of the others in spans of whole tiles."""
    width = queries_a_tile(group, TABLE["sparse_forward"].rows)
    shared, alone = split(indices.contiguous(), segments, block, width, options.least)
    lists = lists_of(alone, segments, block, options.outer, width)
    return MixedShare(share(shared, segments, block, group), alone, lists)


def forward(
    q: Tensor, k: Tensor, v: Tensor, mixed: MixedShare, segments: Segments, options: MixedOptions,
    sinks: Tensor | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Output like q and log normaliser float32 [batch, heads, queries]. Shapes are those of ``kv_outer.forward``."""
    q, k, v = dense(q, k, v)
    out, lse = torch.empty_like(q), q.new_empty(q.shape[:3], dtype=torch.float32)
    union, partials = mixed.union, Partials.of(q, k, v, mixed.lists, segments, options.outer)
    group, width, span = partials.group, union.width, mixed.lists.span
    tiles, slots = union.begin.shape[2:]
    described = (tiles_of(q, group, width), rows_of(k, union.block), rows_of(v, union.block))
    sizes = (span, tiles, q.shape[2], k.shape[2], segments.offset, slots, q.shape[-1] ** -0.5)
    for number in range(mixed.lists.spans):
        partials.fill(number)
        size = min(span, q.shape[2] - number * span)
        mixed_kernel[(triton.cdiv(size, width), k.shape[0] * k.shape[1])](
            *described, partials.out, partials.lse, mixed.alone, sinks, union.begin, union.bits, union.count,
            tiles_of(out, group, width), lse, number, *sizes, **partials.shape, KEPT=partials.kept, WIDTH=width,
            BLOCK=union.block, HAS_SINKS=sinks is not None,
            num_warps=options.tile_warps, num_stages=options.tile_stages, maxnreg=options.tile_registers,
        )  # fmt: skip
    return out, lse
