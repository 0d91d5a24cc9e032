"""Ulysses: ranks share the tokens of one packed row, and exchange tokens for heads around attention.

arXiv:2309.14509, section 3.1. All other parts of a layer see a rank's own tokens alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed
from torch.distributed import ProcessGroup


class _Exchange(torch.autograd.Function):
    """Part i of a tensor goes to rank i, and part i of the result is from rank i. Gradients go back the same way."""

    @staticmethod
    def forward(ctx: Any, group: ProcessGroup, parts: Tensor) -> Tensor:
        ctx.group = group
        received = torch.empty_like(parts, memory_format=torch.contiguous_format)
        distributed.all_to_all_single(received, parts.contiguous(), group=group)
        return received

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        return None, _Exchange.apply(ctx.group, gradients[0])


@dataclass(frozen=True)
class SharedRow:
    """A row whose tokens lie in equal parts, in order, on the ``ranks`` of ``group``.

    ``position_ids`` int [1, tokens of all ranks].
    """

    group: ProcessGroup
    ranks: int
    position_ids: Tensor

    def all_tokens(self, states: Tensor) -> Tensor:
        """[1, heads, own tokens, width] -> [1, own heads, all tokens, width].

        Fewer KV heads than ranks are copied, so that each rank has the KV head of its query heads.
        """
        _, heads, tokens, width = states.shape
        if heads < self.ranks:
            states, heads = states.repeat_interleave(self.ranks // heads, dim=1), self.ranks
        received: Tensor = _Exchange.apply(self.group, states.reshape(self.ranks, heads // self.ranks, tokens, width))
        return received.transpose(0, 1).reshape(1, heads // self.ranks, self.ranks * tokens, width)

    def all_heads(self, attended: Tensor) -> Tensor:
        """[1, all tokens, own heads, width] -> [1, own tokens, heads, width]."""
        _, tokens, heads, width = attended.shape
        received: Tensor = _Exchange.apply(self.group, attended.reshape(self.ranks, tokens // self.ranks, heads, width))
        return received.transpose(0, 1).reshape(1, tokens // self.ranks, self.ranks * heads, width)
