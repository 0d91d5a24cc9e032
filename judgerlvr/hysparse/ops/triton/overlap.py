"""The kernels of sparse layers chosen by how much the choices of neighbouring queries overlap.

Union tiles are the fastest where neighbours agree. Where neighbours differ, the KV-outer forward pass is faster. The
KV-outer backward pass is faster already where neighbours differ a little.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from typing import Any

import torch
from torch import Tensor

from judgerlvr.hysparse.ops.kernel_shapes import MOST_GROUP, MOST_HEAD_DIM, OUTER_QUERIES
from judgerlvr.hysparse.ops.segments import Segments
from judgerlvr.hysparse.ops.triton.gradients import delta_of, sink_gradient
from judgerlvr.hysparse.ops.triton.kv_outer import OuterOptions, kv_outer_forward, pair_bytes, span_of
from judgerlvr.hysparse.ops.triton.kv_outer_backward import BackwardOptions, kv_outer_backward
from judgerlvr.hysparse.ops.triton.ordered_lists import OrderedLists, ordered_lists
from judgerlvr.hysparse.ops.triton.reader_lists import ReaderLists, reader_lists
from judgerlvr.hysparse.ops.triton.selection import share
from judgerlvr.hysparse.ops.triton.union_attention import union_backward, union_forward
from judgerlvr.hysparse.ops.triton.union_tiles import UnionTiles, mean_union

# Tests compile half precision alone.
ITEM_BYTES = 2
# The table of key positions at which a block may begin grows with the square of the context: 4 bytes a position and
# span. The table may have twice as many entries as the indices, which it has at 256k tokens and 16 blocks.
POSITIONS_A_PAIR = 2
ADDRESSES = 2**31


@dataclass(frozen=True)
class ByOverlap:
    """Kernels of sparse layers that choose once for all sparse layers after a full layer.

    ``spread`` is the least mean union of a tile over the blocks of one query from which the KV-outer forward pass
    is taken. The spread is 1 if all queries of a tile agree and choose as many blocks as they may. On an H200 the
    two forward passes take equal time at unions of 51 and 54 blocks of 16 queries, at 32k and 128k tokens and 16
    blocks a query. The crossing is interpolated between two measured unions, with a third of the preparation. The
    backward pass is KV-outer from ``backward_spread`` on. The two backward passes take equal time at unions of 22
    to 23 blocks, interpolated likewise. Shapes other than group 4, head dim 128 and blocks of 64 were not timed.
    Rows below ``queries`` keep union tiles.

    The choice reads one number back from the device, and each set of lists reads another.
    """

    forward: OuterOptions = field(default_factory=OuterOptions)
    backward: BackwardOptions = field(default_factory=BackwardOptions)
    spread: float = 3.2
    backward_spread: float = 1.4
    queries: int = OUTER_QUERIES

    def share(self, indices: Tensor, segments: Segments, block: int, group: int) -> UnionTiles | SharedChoice:
        """Union tiles for short rows and large groups. Else the choice, whose kernels the first sparse layer picks.

        A compiled graph gets union tiles too, because a graph cannot read a number back.
        """
        if indices.shape[2] < self.queries or group > MOST_GROUP or torch.compiler.is_compiling():
            return share(indices, segments, block, group)
        return SharedChoice(indices.contiguous(), segments, block, group, self)


class SharedChoice:
    """What the sparse layers after a full layer share. All these layers have queries of one shape and dtype.

    Each form of ``indices`` is made at its first use. Activation checkpointing runs a layer again with the same forms.
    """

    def __init__(self, indices: Tensor, segments: Segments, block: int, group: int, kernels: ByOverlap) -> None:
        self.indices, self.segments, self.block, self.group = indices, segments, block, group
        self.kernels, self.spread = kernels, inf
        self._form: UnionTiles | ReaderLists | None = None
        self._readers: OrderedLists | None = None

    def serves(self, q: Tensor) -> bool:
        """Whether the KV-outer kernels take queries like ``q``."""
        taken = q.itemsize == ITEM_BYTES and q.shape[-1] <= MOST_HEAD_DIM
        # Kernels count the elements of a group's rows with 32 bits.
        return taken and self.group * q.shape[2] * q.shape[-1] < ADDRESSES and self.few_positions(q)

    def few_positions(self, q: Tensor) -> bool:
        """Whether the table of key positions stays within twice the size of the indices."""
        positions = -(-q.shape[2] // self.span(q, self.kernels.forward.span)) * self.segments.keys
        return positions <= POSITIONS_A_PAIR * q.shape[2] * self.indices.shape[3]

    def span(self, q: Tensor, most: int) -> int:
        """Queries of a span, ``most`` at most."""
        return span_of(most, self.indices, pair_bytes(q, self.indices.shape[1]))

    @cached_property
    def union(self) -> UnionTiles:
        """The choice as union tiles, for queries that the KV-outer kernels do not take."""
        return share(self.indices, self.segments, self.block, self.group)

    def form(self, q: Tensor) -> UnionTiles | ReaderLists:
        """What the forward pass reads: union tiles where neighbours agree, else reader lists."""
        if self._form is None:
            self._form = self.new_form(q)
        return self._form

    def new_form(self, q: Tensor) -> UnionTiles | ReaderLists:
        union = share(self.indices, self.segments, self.block, self.group)
        self.spread = mean_union(union) / self.indices.shape[3]
        if self.spread < self.kernels.spread:
            return union
        options = self.kernels.forward
        return reader_lists(self.indices, self.segments, self.block, self.span(q, options.span), options.task)

    def backward_form(self, q: Tensor) -> UnionTiles | OrderedLists:
        """What the backward passes read: union tiles where neighbours agree nearly always, else ordered lists."""
        form = self.form(q)
        if isinstance(form, UnionTiles) and self.spread < self.kernels.backward_spread:
            return form
        if self._readers is None:
            self._readers = self.new_readers(q)
        return self._readers

    def new_readers(self, q: Tensor) -> OrderedLists:
        options = self.kernels.backward
        return ordered_lists(self.indices, self.segments, self.block, self.span(q, options.span), options.task)


class ChosenAttention(torch.autograd.Function):
    """Attention over the selected blocks of shared keys and values, which may be float32 for half-precision queries."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, sinks: Tensor | None, choice: SharedChoice, segments: Segments
    ) -> Tensor:
        form, operands = choice.form(q), (q, k.to(q.dtype), v.to(q.dtype), sinks)
        if isinstance(form, UnionTiles):
            out, lse = union_forward(*operands, form, segments)
        else:
            out, lse = kv_outer_forward(*operands, form, segments, choice.kernels.forward)
        ctx.save_for_backward(q, k, v, sinks, out, lse)
        ctx.choice, ctx.segments = choice, segments
        return out

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, sinks, out, lse = ctx.saved_tensors
        choice, grad_out = ctx.choice, grad_out.contiguous()
        delta, (narrow_k, narrow_v) = delta_of(out, grad_out), (tensor.to(q.dtype) for tensor in (k, v))
        form, operands = choice.backward_form(q), (q, narrow_k, narrow_v, lse, delta, grad_out)
        if isinstance(form, UnionTiles):
            grad_q, grad_k, grad_v = union_backward(*operands, form, ctx.segments)
        else:
            grad_q, grad_k, grad_v = kv_outer_backward(*operands, form, ctx.segments, choice.kernels.backward)
        return grad_q, grad_k.to(k.dtype), grad_v.to(v.dtype), sink_gradient(sinks, lse, delta), None, None
