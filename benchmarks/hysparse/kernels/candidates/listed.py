"""Sparse layers on the candidates: a forward pass of either kind, and the backward pass over single readers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from benchmarks.hysparse.kernels.candidates import kv_outer, mixed
from benchmarks.hysparse.kernels.candidates.ordered_lists import OrderedLists
from benchmarks.hysparse.kernels.candidates.outer_backward import BackwardOptions, backward, backward_lists
from judgerlvr.hysparse.ops.triton.attention import check, delta_of, dense, sink_gradient
from judgerlvr.hysparse.segments import Segments

Forward = Callable[[Tensor, Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Shared:
    """What the sparse layers after a full layer share. ``attend`` gives output and log normaliser of q, k, v, sinks.

    ``table`` holds what a forward pass with the options ``forward`` reads.
    """

    indices: Tensor
    segments: Segments
    block: int
    forward: kv_outer.OuterOptions | mixed.MixedOptions
    table: Any
    attend: Forward
    options: BackwardOptions

    @cached_property
    def readers(self) -> OrderedLists:
        """Lists of the backward pass, built at the first backward pass for all layers that share the choices."""
        return self.new_readers()

    def new_readers(self) -> OrderedLists:
        return backward_lists(self.indices, self.segments, self.block, self.options)


class ListedAttention(torch.autograd.Function):
    """Attention over chosen blocks. Keys and values may be float32 for half-precision queries."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, sinks: Tensor | None, shared: Shared) -> Tensor:
        out, lse = shared.attend(q, k.to(q.dtype), v.to(q.dtype), sinks)
        ctx.save_for_backward(q, k, v, sinks, out, lse)
        ctx.shared = shared
        return out

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, sinks, out, lse = ctx.saved_tensors
        shared, grad_out = ctx.shared, grad_out.contiguous()
        delta, (narrow_k, narrow_v) = delta_of(out, grad_out), (tensor.to(q.dtype) for tensor in (k, v))
        grad_q, grad_k, grad_v = backward(
            q, narrow_k, narrow_v, lse, delta, grad_out, shared.readers, shared.segments, shared.options
        )
        return grad_q, grad_k.to(k.dtype), grad_v.to(v.dtype), sink_gradient(sinks, lse, delta), None


@dataclass(frozen=True)
class Listed:
    """Kernels of sparse layers over reader lists. The type of ``options`` names the forward pass."""

    options: kv_outer.OuterOptions | mixed.MixedOptions
    backward: BackwardOptions = field(default_factory=BackwardOptions)

    def share(self, indices: Tensor, segments: Segments, block: int, group: int) -> Shared:
        """Lists of ``indices`` [batch, kv_heads, queries, count], built once for all sparse layers of a block."""
        indices, options = indices.contiguous(), self.options
        if isinstance(options, mixed.MixedOptions):
            found = mixed.share_of(indices, segments, block, group, options)
            return Shared(
                indices, segments, block, options, found,
                lambda q, k, v, sinks: mixed.forward(q, k, v, found, segments, options, sinks), self.backward,
            )  # fmt: skip
        lists = kv_outer.lists_of(indices, segments, block, options)
        return Shared(
            indices, segments, block, options, lists,
            lambda q, k, v, sinks: kv_outer.forward(q, k, v, indices, lists, segments, options, sinks), self.backward,
        )  # fmt: skip

    def sparse_attention(
        self, q: Tensor, k: Tensor, v: Tensor, shared: Shared, segments: Segments, block: int,
        sinks: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """See ``attention.sparse_attention``. ``shared`` is the result of ``share``."""
        check(q, k, block)
        out: Tensor = ListedAttention.apply(*dense(q, k, v), sinks, shared)
        return out
