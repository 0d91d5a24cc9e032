"""Two products with a gradient of their own: compiled sums over rows are slow, and so is an embedding's scatter.

Both gradients are the ordinary ones, in another order of sums.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class ScaleRuns(torch.autograd.Function):
    """Rows [R, m, c] times each run's weight [R, c]. The weight's gradient is summed over rows in float32."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(rows, weight)
        return rows * weight[:, None]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        (gradient,), (rows, weight) = gradients, ctx.saved_tensors
        total = (gradient * rows).sum(1, dtype=torch.float32)
        return gradient * weight[:, None], total.to(weight.dtype)


class EmbedRuns(torch.autograd.Function):
    """Rows [R, m, width] of each run's table [R, V, width] by ids [R, m]. One-hot ids give the gradient."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, ids: Tensor) -> Tensor:
        ctx.save_for_backward(ids)
        runs, ctx.words, width = table.shape
        first = torch.arange(runs, device=ids.device)[:, None] * ctx.words
        return F.embedding(ids + first, table.reshape(runs * ctx.words, width))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,), (ids,) = gradients, ctx.saved_tensors
        chosen = gradient.new_zeros(*ids.shape, ctx.words).scatter_(2, ids[..., None], 1.0)
        return torch.bmm(chosen.transpose(1, 2), gradient), None
