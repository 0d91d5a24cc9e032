"""One new token a row: full attention with selection, and a whole sparse layer's attention in one launch.

Without gradients. The twins are the functions of ``ops.reference``, called with one query.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from judgerlvr.hysparse.ops.segments import Segments
from judgerlvr.hysparse.ops.selection import Selection, blocks_of
from judgerlvr.hysparse.ops.triton import decode_kernels as decode
from judgerlvr.hysparse.ops.triton.selection import select
from judgerlvr.hysparse.ops.triton.tile_shapes import TABLE, rows_of

SMALLEST_PRODUCT = 16
# Programs that keep the memory of an H100's 132 multiprocessors busy, and the most splits that a program merges.
PROGRAMS = 132 * 8
MOST_SPLITS = 64


@dataclass(frozen=True)
class Branches:
    """Inputs of a sparse layer beside its queries: window cache, sinks [heads] and gate logits of either branch.

    ``near_k`` and ``near_v`` [batch, kv_heads, near keys, dim] end with the query's own token. Gate logits are [batch,
    heads, dim], or [batch, heads, 1] for a logit a head. Both pairs are given or None.
    """

    near_k: Tensor
    near_v: Tensor
    window: int
    sinks: tuple[Tensor, Tensor] | None = None
    gates: tuple[Tensor, Tensor] | None = None


def shapes(q: Tensor, k: Tensor) -> dict[str, int]:
    """Compile-time constants of the kernels."""
    group = q.shape[1] // k.shape[1]
    return {"HEADS": q.shape[1], "GROUP": group, "ROWS": max(SMALLEST_PRODUCT, group), "DIM": q.shape[-1]}


def split_span(keys: int, pairs: int, block: int) -> int:
    """Keys of a split, a multiple of ``block``: enough splits to fill the GPU, at most MOST_SPLITS."""
    wanted = min(MOST_SPLITS, max(1, PROGRAMS // pairs), blocks_of(keys, block))
    return triton.cdiv(blocks_of(keys, block), wanted) * block


def full_decode(
    q: Tensor, k: Tensor, v: Tensor, segments: Segments, selection: Selection, sinks: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Output [batch, heads, 1, dim] and indices int32 [batch, kv_heads, 1, count] of one query a row."""
    q, k, v = (tensor.contiguous() for tensor in (q, k, v))
    (batch, heads, _, dim), (kv_heads, keys) = q.shape, k.shape[1:3]
    span = split_span(keys, batch * kv_heads, selection.block)
    splits, blocks = triton.cdiv(keys, span), blocks_of(keys, selection.block)
    rest = ((splits, dim), (splits,), (blocks, 1), (1,))
    parts, lse_parts, maxima, lse = (q.new_empty((batch, heads, *sizes), dtype=torch.float32) for sizes in rest)
    options = TABLE["decode"].options
    decode.split_kernel[(splits, batch * kv_heads)](
        q, rows_of(k, selection.block), rows_of(v, selection.block), segments.starts, parts, lse_parts, maxima,
        keys, span, blocks, dim**-0.5, **shapes(q, k), BLOCK=selection.block, EMIT=True, **options,
    )  # fmt: skip
    out = q.new_empty(q.shape)
    decode.merge_kernel[(batch * heads,)](
        parts, lse_parts, sinks, out, lse, splits,
        HEADS=heads, DIM=dim, SPLITS=triton.next_power_of_2(splits), HAS_SINKS=sinks is not None,
    )  # fmt: skip
    indices = q.new_empty((batch, kv_heads, 1, selection.count), dtype=torch.int32)
    select(maxima, lse, segments, selection, 0, indices)
    return out, indices


def sparse_decode(
    q: Tensor, k: Tensor, v: Tensor, indices: Tensor, segments: Segments, block: int, branches: Branches
) -> Tensor:
    """Gated sum of both branches, [batch, heads, 1, dim]: one program a row and KV head."""
    out, count = q.new_empty(q.shape), indices.shape[-1]
    q, k, v, near_k, near_v = (tensor.contiguous() for tensor in (q, k, v, branches.near_k, branches.near_v))
    sinks = branches.sinks or (None, None)
    gates = tuple(gate.contiguous() for gate in branches.gates or ())
    wide_gate = bool(gates) and gates[0].shape[-1] == q.shape[-1]
    decode.sparse_decode_kernel[(k.shape[0] * k.shape[1],)](
        q, *(rows_of(tensor, block) for tensor in (k, v, near_k, near_v)), indices, segments.starts,
        *sinks, *(gates or (None, None)), out, k.shape[2], near_k.shape[2], branches.window, count,
        q.shape[-1] if wide_gate else 1, int(wide_gate), q.shape[-1] ** -0.5,
        **shapes(q, k), BLOCK=block, KEPT=triton.next_power_of_2(count),
        HAS_SINKS=branches.sinks is not None, GATED=bool(gates), **TABLE["decode"].options,
    )  # fmt: skip
    return out
