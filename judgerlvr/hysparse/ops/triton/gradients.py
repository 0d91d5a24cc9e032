"""Parts of a backward pass that all attention kernels need: delta, and the gradient of the sinks."""

from __future__ import annotations

import torch
import triton
from torch import Tensor

from judgerlvr.hysparse.ops.triton.range_kernels import delta_kernel

DELTA_ROWS = 64


def delta_of(out: Tensor, grad_out: Tensor) -> Tensor:
    """Output times its gradient summed over the head dim, float32 [batch, heads, queries]. Both are contiguous."""
    delta = out.new_empty(out.shape[:3], dtype=torch.float32)
    delta_kernel[(triton.cdiv(delta.numel(), DELTA_ROWS),)](
        out, grad_out, delta, delta.numel(), DIM=out.shape[-1], ROWS=DELTA_ROWS
    )
    return delta


def sink_gradient(sinks: Tensor | None, lse: Tensor, delta: Tensor) -> Tensor | None:
    """Gradient of the sinks [heads]: a sink takes probability exp(sink - lse) and gives no value."""
    if sinks is None:
        return None
    taken = (sinks.float()[None, :, None] - lse).exp()
    return -(taken * delta).sum((0, 2)).to(sinks.dtype)
