"""One hybrid block as the model runs it, without projections: a full and three sparse layers in one timed call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from benchmarks.hysparse.kernels.case import Case, sources
from benchmarks.hysparse.kernels.table import Row, Work
from judgerlvr.hysparse.ops.segments import Segments
from judgerlvr.hysparse.ops.triton import attention

SPARSE = 3


class SparseKernels(Protocol):
    """Kernels of sparse layers, as the module ``attention`` has them: what layers share, and the attention."""

    def share(self, indices: Tensor, segments: Segments, block: int, group: int) -> Any: ...

    def sparse_attention(
        self, q: Tensor, k: Tensor, v: Tensor, shared: Any, segments: Segments, block: int, sinks: Tensor | None = None
    ) -> Tensor: ...


def hybrid_block(case: Case) -> None:
    """Forward, and forward with backward, for each set of indices."""
    for name, make in sources(case):
        block_rows(case, name, make, "block of 1 + 3 layers")


def block_rows(
    case: Case, source: str, make: Callable[[], Tensor], what: str, sparse: SparseKernels = attention,
    with_backward: bool = True,
) -> None:  # fmt: skip
    """A row for the forward pass and one with the backward pass. The full layer's own selection goes unused."""
    o = case.options
    full, chosen, near = (case.work(most) for most in (None, o.block * o.count, o.window))
    work = Work(full.flops + SPARSE * (chosen.flops + near.flops), full.bytes + SPARSE * (chosen.bytes + near.bytes))
    row = Row(case.context, case.group, what, source)
    if case.table.measure(row, work, lambda: forward(case, make(), sparse)) is None or not with_backward:
        return
    row = Row(case.context, case.group, f"{what} + backward", source)
    case.table.measure(row, Work(3.5 * work.flops, 3 * work.bytes), lambda: backward(case, make(), sparse))


def leaves(case: Case) -> tuple[list[Tensor], list[Tensor]]:
    """Leaves of their own over the case's memory: queries, keys and values of four layers, and gate logits of three."""
    q, k, v = case.inputs
    tensors = [tensor.detach().requires_grad_() for _ in range(1 + SPARSE) for tensor in (q, k, v)]
    flat = q.detach().view(1, case.context, -1)
    return tensors, [flat.detach().requires_grad_() for _ in range(2 * SPARSE)]


def outputs(
    case: Case, indices: Tensor, tensors: list[Tensor], gates: list[Tensor], sparse: SparseKernels
) -> list[Tensor]:
    """Inputs of the four layers' output projections."""
    o, segments = case.options, case.segments
    q, k, v = tensors[:3]
    outs = [attention.full_attention_with_selection(q, k, v, segments, case.selection)[0]]
    found = sparse.share(indices, segments, o.block, case.group)
    # As the model does in training, so that gradients are summed in float32.
    shared = (k.float(), v.float()) if torch.is_grad_enabled() else (k, v)
    for layer in range(1, 1 + SPARSE):
        q, near_k, near_v = tensors[3 * layer : 3 * layer + 3]
        chosen = sparse.sparse_attention(q, *shared, found, segments, o.block, case.sinks)
        near = attention.window_attention(q, near_k, near_v, segments, o.window, case.sinks)
        outs.append(attention.gated_sum(chosen, near, *gates[2 * layer - 2 : 2 * layer]))
    return outs


def forward(case: Case, indices: Tensor, sparse: SparseKernels) -> Callable[[], object]:
    inputs = leaves(case)
    return torch.no_grad()(lambda: outputs(case, indices, *inputs, sparse))


def backward(case: Case, indices: Tensor, sparse: SparseKernels) -> Callable[[], object]:
    tensors, gates = leaves(case)
    grad = case.grad
    # The backward pass of the output projection leaves the gradient token by token.
    by_token = grad.view(1, case.context, case.heads, -1).transpose(1, 2)
    grads = [grad] + [by_token] * SPARSE
    return lambda: torch.autograd.grad(outputs(case, indices, tensors, gates, sparse), [*tensors, *gates], grads)
