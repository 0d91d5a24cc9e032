"""Attention over the selected blocks by union tiles: neighbouring queries read their blocks together."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from judgerlvr.hysparse.ops.segments import Segments
from judgerlvr.hysparse.ops.triton import sparse_kernels as sparse
from judgerlvr.hysparse.ops.triton.gradients import delta_of, sink_gradient
from judgerlvr.hysparse.ops.triton.tile_shapes import rows_of, shape_of, tiles_of, union_options
from judgerlvr.hysparse.ops.triton.union_tiles import UnionTiles


class UnionAttention(torch.autograd.Function):
    """Attention over the selected blocks of shared keys and values, which may be float32 for half-precision queries."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, sinks: Tensor | None, union: UnionTiles, segments: Segments
    ) -> Tensor:
        out, lse = union_forward(q, k.to(q.dtype), v.to(q.dtype), sinks, union, segments)
        ctx.save_for_backward(q, k, v, sinks, out, lse)
        ctx.union, ctx.segments = union, segments
        return out

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, sinks, out, lse = ctx.saved_tensors
        grad_out = grad_out.contiguous()
        delta, (narrow_k, narrow_v) = delta_of(out, grad_out), (tensor.to(q.dtype) for tensor in (k, v))
        grad_q, grad_k, grad_v = union_backward(q, narrow_k, narrow_v, lse, delta, grad_out, ctx.union, ctx.segments)
        return grad_q, grad_k.to(k.dtype), grad_v.to(v.dtype), sink_gradient(sinks, lse, delta), None, None


def union_forward(
    q: Tensor, k: Tensor, v: Tensor, sinks: Tensor | None, union: UnionTiles, segments: Segments
) -> tuple[Tensor, Tensor]:
    """Output like q, and the log normaliser float32 [batch, heads, queries]."""
    out, lse = torch.empty_like(q), q.new_empty(q.shape[:3], dtype=torch.float32)
    group, width, block = q.shape[1] // k.shape[1], union.width, union.block
    sparse.sparse_forward_kernel[(union.begin.shape[2], k.shape[0] * k.shape[1])](
        tiles_of(q, group, width), rows_of(k, block), rows_of(v, block), sinks, union.begin, union.bits, union.count,
        tiles_of(out, group, width), lse, *sizes_of(q, k, union, segments), q.shape[-1] ** -0.5,
        **shape_of(q, k), WIDTH=width, BLOCK=block, HAS_SINKS=sinks is not None,
        **launch_options("sparse_forward", q, k, union),
    )  # fmt: skip
    return out, lse


def union_backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    lse: Tensor,
    delta: Tensor,
    grad_out: Tensor,
    union: UnionTiles,
    segments: Segments,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q like q, and of k and v in float32."""
    options = {"WIDTH": union.width, "BLOCK": union.block, **shape_of(q, k)}
    sizes, scale = sizes_of(q, k, union, segments), q.shape[-1] ** -0.5
    grad_q = torch.empty_like(q)
    grad_k, grad_v = torch.empty_like(k, dtype=torch.float32), torch.empty_like(v, dtype=torch.float32)
    tiles, pairs = union.begin.shape[2], k.shape[0] * k.shape[1]
    queries_of, grads_of, query_grads_of = (
        tiles_of(tensor, q.shape[1] // k.shape[1], union.width) for tensor in (q, grad_out, grad_q)
    )
    keys_of, values_of = (rows_of(tensor, union.block) for tensor in (k, v))
    sparse.sparse_backward_q_kernel[(tiles, pairs)](
        queries_of, keys_of, values_of, union.begin, union.bits, union.count, lse, delta, grads_of, query_grads_of,
        *sizes, scale, **options, **launch_options("sparse_backward_q", q, k, union),
    )  # fmt: skip
    readers = union.readers
    sparse.sparse_backward_kv_kernel[(readers.low.shape[2], pairs)](
        queries_of, keys_of, values_of, union.begin, union.bits, readers.order, readers.entry, readers.low,
        readers.high, lse, delta, grads_of, grad_k, grad_v, *sizes, tiles, scale, **options,
        **launch_options("sparse_backward_kv", q, k, union),
    )  # fmt: skip
    return grad_q, grad_k, grad_v


def sizes_of(q: Tensor, k: Tensor, union: UnionTiles, segments: Segments) -> tuple[int, ...]:
    """Queries, keys, cached keys, and slots of a tile, as the kernels take them."""
    return q.shape[2], k.shape[2], segments.offset, union.begin.shape[3]


def launch_options(kernel: str, q: Tensor, k: Tensor, union: UnionTiles) -> dict[str, int]:
    """Launch options of a kernel over the union's tiles."""
    return union_options(kernel, union.width * q.shape[1] // k.shape[1], q.shape[-1], q.itemsize)
