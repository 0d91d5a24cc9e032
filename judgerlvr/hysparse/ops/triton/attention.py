"""The operations of ``ops.reference`` on Triton kernels, with gradients, with the same arguments and results.

``kernel_shapes`` says which shapes the kernels take. Other shapes raise ValueError, and so does float64.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
from torch import Tensor

from judgerlvr.hysparse.ops.kernel_shapes import refusals
from judgerlvr.hysparse.ops.segments import Segments
from judgerlvr.hysparse.ops.selection import Selection, blocks_of
from judgerlvr.hysparse.ops.triton import gate_kernels as gating
from judgerlvr.hysparse.ops.triton import range_kernels as flash
from judgerlvr.hysparse.ops.triton.decode import Branches, full_decode
from judgerlvr.hysparse.ops.triton.decode import sparse_decode as run_sparse_decode
from judgerlvr.hysparse.ops.triton.gradients import delta_of, sink_gradient
from judgerlvr.hysparse.ops.triton.overlap import ByOverlap, ChosenAttention, SharedChoice
from judgerlvr.hysparse.ops.triton.selection import select, share
from judgerlvr.hysparse.ops.triton.tile_shapes import dense, fitted, rows_of, shape_of
from judgerlvr.hysparse.ops.triton.union_attention import UnionAttention
from judgerlvr.hysparse.ops.triton.union_tiles import UnionTiles

# Bytes of block maxima that are held at once. At 32 heads and 128k tokens, 2,048 queries fit.
MAXIMA_BYTES = 2**29
GATE_ROWS = 16
BY_OVERLAP = ByOverlap()


def check(q: Tensor, k: Tensor, block: int | None = None) -> None:
    """Raise ValueError for shapes that the kernels do not take."""
    wrong = refusals(q.shape[1] // k.shape[1], q.shape[-1], block)
    wrong += ["float64"] if q.dtype == torch.float64 else []
    if wrong:
        raise ValueError(f"no Triton kernel for {', '.join(wrong)}; the reference takes it")


class RangeAttention(torch.autograd.Function):
    """Causal or window attention. On request, the selection by block maxima is returned too."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, sinks: Tensor | None, segments: Segments, window: int,
        selection: Selection | None,
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        out, lse = torch.empty_like(q), q.new_empty(q.shape[:3], dtype=torch.float32)
        chunk = q.shape[2] if selection is None else chunk_of(q, segments, selection)
        indices = None if selection is None else q.new_empty(index_shape(q, k, selection), dtype=torch.int32)
        for first in range(0, q.shape[2], chunk):
            maxima = run_chunk(q, k, v, sinks, segments, window, selection, out, lse, first, chunk)
            if selection is not None and indices is not None:
                select(maxima, lse, segments, selection, first, indices)
        ctx.save_for_backward(q, k, v, sinks, out, lse, segments.starts)
        ctx.offset, ctx.window = segments.offset, window
        if indices is not None:
            ctx.mark_non_differentiable(indices)
        return out, indices

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
        q, k, v, sinks, out, lse, starts = ctx.saved_tensors
        grad_out = grad_out.contiguous()
        delta = delta_of(out, grad_out)
        grads = tuple(torch.empty_like(tensor) for tensor in (q, k, v))
        range_backward(q, k, v, Segments(starts, ctx.offset), ctx.window, lse, delta, grad_out, grads)
        return *grads, sink_gradient(sinks, lse, delta), None, None, None


def range_backward(
    q: Tensor, k: Tensor, v: Tensor, segments: Segments, window: int, lse: Tensor, delta: Tensor, grad_out: Tensor,
    grads: tuple[Tensor, ...],
) -> None:  # fmt: skip
    """Write the gradients of q, k and v into ``grads``."""
    first_key = segments.keys - k.shape[2]
    sizes = (q.shape[2], k.shape[2], first_key, segments.offset, window, q.shape[-1] ** -0.5)
    tiles = fitted("backward_q", q.shape[-1], q.itemsize)
    options = {"BLOCK_M": tiles.rows, "BLOCK_N": tiles.cols, "WINDOWED": window > 0, **shape_of(q, k), **tiles.options}
    grid = (triton.cdiv(q.shape[2], tiles.rows), q.shape[0] * q.shape[1])
    flash.backward_q_kernel[grid](
        rows_of(q, tiles.rows), rows_of(k, tiles.cols), rows_of(v, tiles.cols), segments.starts, lse, delta,
        rows_of(grad_out, tiles.rows), grads[0], *sizes, **options,
    )  # fmt: skip
    tiles = fitted("backward_kv", q.shape[-1], q.itemsize)
    options |= {"BLOCK_M": tiles.rows, "BLOCK_N": tiles.cols, **tiles.options}
    grid = (triton.cdiv(k.shape[2], tiles.cols), k.shape[0] * k.shape[1])
    flash.backward_kv_kernel[grid](
        rows_of(q, tiles.rows), rows_of(grad_out, tiles.rows), rows_of(k, tiles.cols), rows_of(v, tiles.cols),
        segments.starts,
        reader_ends(segments, first_key, k.shape[2], tiles.cols), lse, delta, grads[1], grads[2], *sizes, **options,
    )  # fmt: skip


def reader_ends(segments: Segments, first_key: int, keys: int, cols: int) -> Tensor:
    """First query that begins after each key tile, int32 [batch, key tiles]. Starts never decrease along a row."""
    last = torch.arange(first_key + cols - 1, first_key + keys + cols - 1, cols, device=segments.starts.device)
    tiles = last.expand(segments.starts.shape[0], -1).contiguous()
    return torch.searchsorted(segments.starts, tiles, right=True).int()


def index_shape(q: Tensor, k: Tensor, selection: Selection) -> tuple[int, ...]:
    """Shape of the selected indices."""
    return q.shape[0], k.shape[1], q.shape[2], selection.count


def chunk_of(q: Tensor, segments: Segments, selection: Selection) -> int:
    """Number of queries in a chunk, a multiple of 128. The chunk's block maxima fit into MAXIMA_BYTES."""
    row = q.shape[0] * q.shape[1] * blocks_of(segments.keys, selection.block) * torch.float32.itemsize
    return max(1, MAXIMA_BYTES // row // 128) * 128


def run_chunk(
    q: Tensor, k: Tensor, v: Tensor, sinks: Tensor | None, segments: Segments, window: int,
    selection: Selection | None, out: Tensor, lse: Tensor, first: int, chunk: int,
) -> Tensor:  # fmt: skip
    """Attend for queries from ``first`` on, writing ``out`` and ``lse``. Returns their block maxima if selecting.

    The maxima [batch, heads, blocks, chunk] are uninitialised after each query's own block.
    """
    queries = q.shape[2]
    chunk = min(chunk, queries - first)
    tiles = fitted("window" if window else "forward", q.shape[-1], q.itemsize)
    cols = max(tiles.cols, selection.block) if selection else tiles.cols
    block = selection.block if selection else cols
    blocks = blocks_of(segments.offset + first + chunk, block) if selection else 1
    maxima = q.new_empty((*q.shape[:2], blocks, chunk), dtype=torch.float32) if selection else lse
    first_key = segments.keys - k.shape[2]
    grid = (triton.cdiv(chunk, tiles.rows), q.shape[0] * q.shape[1])
    flash.forward_kernel[grid](
        rows_of(q, tiles.rows), rows_of(k, cols), rows_of(v, cols), segments.starts, sinks, out, lse, maxima,
        queries, k.shape[2], first_key, segments.offset, first, chunk, blocks, window, q.shape[-1] ** -0.5,
        **shape_of(q, k), BLOCK_M=tiles.rows, BLOCK_N=cols, BLOCK=block,
        HAS_SINKS=sinks is not None, EMIT=selection is not None, WINDOWED=window > 0, **tiles.options,
    )  # fmt: skip
    return maxima


def causal_attention(q: Tensor, k: Tensor, v: Tensor, segments: Segments, sinks: Tensor | None = None) -> Tensor:
    """See ``reference.causal_attention``."""
    check(q, k)
    out: Tensor = RangeAttention.apply(*dense(q, k, v), sinks, segments, 0, None)[0]
    return out


def full_attention_with_selection(
    q: Tensor, k: Tensor, v: Tensor, segments: Segments, selection: Selection, sinks: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """See ``reference.full_attention_with_selection``."""
    check(q, k, selection.block)
    if q.shape[2] == 1 and not torch.is_grad_enabled():
        return full_decode(q, k, v, segments, selection, sinks)
    out, indices = RangeAttention.apply(*dense(q, k, v), sinks, segments, 0, selection)
    return out, indices


def share_by_overlap(indices: Tensor, segments: Segments, block: int, group: int) -> UnionTiles | SharedChoice:
    """As ``share``, for sparse layers that take KV-outer kernels where neighbouring queries' choices differ."""
    return BY_OVERLAP.share(indices, segments, block, group)


def sparse_attention(
    q: Tensor, k: Tensor, v: Tensor, shared: UnionTiles | SharedChoice | Tensor, segments: Segments, block: int,
    sinks: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """See ``reference.sparse_attention``. ``shared`` is a result of ``share``, or the indices."""
    check(q, k, block)
    if isinstance(shared, Tensor):
        shared = share(shared, segments, block, q.shape[1] // k.shape[1])
    if isinstance(shared, SharedChoice) and not shared.serves(q):
        shared = shared.union
    function = ChosenAttention if isinstance(shared, SharedChoice) else UnionAttention
    out: Tensor = function.apply(*dense(q, k, v), sinks, shared, segments)
    return out


def window_attention(
    q: Tensor, k: Tensor, v: Tensor, segments: Segments, window: int, sinks: Tensor | None = None
) -> Tensor:
    """See ``reference.window_attention``."""
    check(q, k)
    out: Tensor = RangeAttention.apply(*dense(q, k, v), sinks, segments, window, None)[0]
    return out


def sparse_decode(
    q: Tensor, k: Tensor, v: Tensor, indices: Tensor, segments: Segments, block: int, near: tuple[Tensor, Tensor],
    window: int, sinks: tuple[Tensor, Tensor] | None, gates: tuple[Tensor, Tensor] | None,
) -> Tensor:  # fmt: skip
    """Gated sum of a sparse layer's branches for one query a row. ``decode.Branches`` gives the shapes."""
    check(q, k, block)
    return run_sparse_decode(q, k, v, indices, segments, block, Branches(*near, window, sinks, gates))


class GatedSum(torch.autograd.Function):
    """Equations 8 and 9 for both branches of a sparse layer."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> Tensor:
        one, _, gate, _ = tensors
        batch, heads, tokens, dim = one.shape
        out = one.new_empty(batch, tokens, heads, dim)
        ctx.save_for_backward(*tensors)
        ctx.shape = {"HEADS": heads, "DIM": dim, "ROWS": GATE_ROWS, "WIDE": gate.shape[-1] == heads * dim}
        gating.gated_sum_kernel[(triton.cdiv(tokens, GATE_ROWS), batch * heads)](*tensors, out, tokens, **ctx.shape)
        return out.transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, ...]:
        tensors = ctx.saved_tensors
        batch, heads, tokens, _ = tensors[0].shape
        grads = tuple(torch.empty_like(tensor) for tensor in tensors)
        gating.gated_sum_backward_kernel[(triton.cdiv(tokens, GATE_ROWS), batch * heads)](
            *tensors, grad_out.transpose(1, 2).contiguous(), *grads, tokens, **ctx.shape
        )
        return grads


def gated_sum(one: Tensor, other: Tensor, gate_one: Tensor, gate_other: Tensor) -> Tensor:
    """Sum of two branches [batch, heads, tokens, dim], each times the sigmoid of its gate's logits.

    Logits are [batch, tokens, heads * (dim or 1)]. The sum lies token by token in memory, ready for the projection.
    """
    out: Tensor = GatedSum.apply(*dense(one, other, gate_one, gate_other))
    return out
