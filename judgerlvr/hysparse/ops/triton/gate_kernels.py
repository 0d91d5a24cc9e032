"""Kernels of equations 8 and 9: both branches under their sigmoid gates, summed in one pass over memory.

Branches are [batch, heads, tokens, dim], as attention leaves them. Gate logits and the sum lie token by token, [batch,
tokens, heads, dim], as projections read and write them. Nothing is transposed.
"""

# Kernel arguments are pointers and scalars that Triton types itself.
# ruff: noqa: ANN001, ANN201
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def places(tokens, HEADS: tl.constexpr, DIM: tl.constexpr, ROWS: tl.constexpr, WIDE: tl.constexpr):
    """Offsets of a tile [ROWS, DIM] in branches, in the sum, and in gate logits, and which of its rows exist.

    WIDE gates have a logit an element. Other gates have a logit a head, [ROWS, 1].
    """
    token = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    dims = tl.arange(0, DIM)[None, :]
    in_branch = (tl.program_id(1).to(tl.int64) * tokens + token)[:, None] * DIM + dims
    row = (tl.program_id(1) // HEADS).to(tl.int64) * tokens + token
    head = (row * HEADS + tl.program_id(1) % HEADS)[:, None]
    in_sum = head * DIM + dims
    return in_branch, in_sum, in_sum if WIDE else head, (token < tokens)[:, None]


@triton.jit
def gated_sum_kernel(
    one, other, gate_one, gate_other, out, tokens,
    HEADS: tl.constexpr, DIM: tl.constexpr, ROWS: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Sum of the gated branches of one head, ROWS tokens."""
    in_branch, in_sum, in_gate, held = places(tokens, HEADS, DIM, ROWS, WIDE)
    weight_one = tl.sigmoid(tl.load(gate_one + in_gate, mask=held, other=0.0).to(tl.float32))
    weight_other = tl.sigmoid(tl.load(gate_other + in_gate, mask=held, other=0.0).to(tl.float32))
    total = tl.load(one + in_branch, mask=held, other=0.0) * weight_one
    total += tl.load(other + in_branch, mask=held, other=0.0) * weight_other
    tl.store(out + in_sum, total.to(out.dtype.element_ty), mask=held)


@triton.jit
def gated_sum_backward_kernel(
    one, other, gate_one, gate_other, grad_out, grad_one, grad_other, grad_gate_one, grad_gate_other, tokens,
    HEADS: tl.constexpr, DIM: tl.constexpr, ROWS: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Gradients of branches and gate logits, from the gradient of the sum in the sum's layout."""
    in_branch, in_sum, in_gate, held = places(tokens, HEADS, DIM, ROWS, WIDE)
    grad = tl.load(grad_out + in_sum, mask=held, other=0.0).to(tl.float32)
    branch_backward(grad, one, gate_one, grad_one, grad_gate_one, in_branch, in_gate, held, WIDE)
    branch_backward(grad, other, gate_other, grad_other, grad_gate_other, in_branch, in_gate, held, WIDE)


@triton.jit
def branch_backward(grad, branch, gate, grad_branch, grad_gate, in_branch, in_gate, held, WIDE: tl.constexpr):
    """Gradients of one branch and its gate's logits."""
    weight = tl.sigmoid(tl.load(gate + in_gate, mask=held, other=0.0).to(tl.float32))
    value = tl.load(branch + in_branch, mask=held, other=0.0).to(tl.float32)
    tl.store(grad_branch + in_branch, (grad * weight).to(grad_branch.dtype.element_ty), mask=held)
    of_logit = grad * value
    if not WIDE:
        of_logit = tl.sum(of_logit, 1)[:, None]
    of_logit = of_logit * weight * (1 - weight)
    tl.store(grad_gate + in_gate, of_logit.to(grad_gate.dtype.element_ty), mask=held)
