"""First candidate: a program owns a key block and its readers, writes partial outputs, and a merge follows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from benchmarks.hysparse.kernels.candidates.reader_kernels import merge_kernel, partial_kernel
from benchmarks.hysparse.kernels.candidates.reader_lists import ReaderLists, reader_lists
from judgerlvr.hysparse.ops.triton.attention import dense, shape_of
from judgerlvr.hysparse.ops.triton.tile_shapes import rows_of
from judgerlvr.hysparse.segments import Segments


@dataclass(frozen=True)
class OuterOptions:
    """Sizes that may be tuned. ``rows`` of a tile are pairs times heads. ``task`` counts pairs, ``span`` queries.

    ``programs`` counts persistent programs a multiprocessor. ``merged`` counts the rows of a merging program.
    """

    rows: int = 128
    task: int = 128
    span: int = 4096
    warps: int = 4
    stages: int = 2
    programs: int = 4
    merged: int = 32


def lists_of(indices: Tensor, segments: Segments, block: int, options: OuterOptions) -> ReaderLists:
    """Reader lists that all sparse layers after a full layer share."""
    return reader_lists(indices, segments, block, min(options.span, indices.shape[2]), options.task)


def forward(
    q: Tensor, k: Tensor, v: Tensor, indices: Tensor, lists: ReaderLists, segments: Segments, options: OuterOptions,
    sinks: Tensor | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Output like q and log normaliser float32 [batch, heads, queries] of attention over the chosen blocks.

    q [batch, heads, queries, dim], k and v [batch, kv_heads, keys, dim], indices int32
    [batch, kv_heads, queries, count] padded with -1.
    """
    q, k, v, indices = dense(q, k, v, indices)
    out, lse = torch.empty_like(q), q.new_empty(q.shape[:3], dtype=torch.float32)
    pairs, (queries, count), span = k.shape[0] * k.shape[1], indices.shape[2:], lists.span
    shape = {**shape_of(q, k), "COUNT": count}
    group, kept = shape["GROUP"], triton.next_power_of_2(count)
    parts = q.new_empty(pairs, span * count, group, q.shape[-1])
    part_lse = q.new_empty(pairs, span * count, group, dtype=torch.float32)
    table = (lists.entry, lists.begin, lists.first, lists.size, lists.bounds)
    tiles = [rows_of(tensor, lists.block) for tensor in (k, v)]
    readers, tokens = (max(1, rows // group) for rows in (options.rows, options.merged))
    for number in range(len(lists.entry)):
        partial_kernel[(programs_of(q, options),)](
            q, *tiles, *table, parts, part_lse, number, span, pairs, queries, segments.keys, segments.offset,
            q.shape[-1] ** -0.5, **shape, BLOCK=lists.block, READERS=readers,
            num_warps=options.warps, num_stages=options.stages,
        )  # fmt: skip
        size = min(span, queries - number * span)
        merge_kernel[(triton.cdiv(size, tokens), pairs)](
            parts, part_lse, indices, sinks, out, lse, number, span, queries,
            **shape, KEPT=kept, TOKENS=tokens, HAS_SINKS=sinks is not None, num_warps=4,
        )  # fmt: skip
    return out, lse


def programs_of(q: Tensor, options: OuterOptions) -> int:
    """Persistent programs of a launch. The interpreter runs a few."""
    if not q.is_cuda:
        return options.programs
    return options.programs * torch.cuda.get_device_properties(q.device).multi_processor_count
