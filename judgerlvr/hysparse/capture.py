"""What the transformers model computes for one sequence: log-probabilities, and the indices it uses."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from judgerlvr.hysparse.modeling import HySparseForCausalLM


def trainer_choices(
    model: HySparseForCausalLM, ids: list[int], replayed: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Indices [layers, tokens, kv_heads, count] and log-probabilities [tokens - 1] of the sequence's tokens.

    ``replayed``, of the shape of the indices, are used in place of the model's own.
    """
    given = None if replayed is None else replayed.transpose(1, 2)[:, None].to(model.device)
    log_probs, output = forward(model, ids, block_indices=given, output_blocks=True)
    return output.used_blocks[:, 0].transpose(1, 2).cpu(), log_probs


@torch.no_grad()
def forward(model: Any, ids: list[int], **arguments: Any) -> tuple[Tensor, Any]:
    """Log-probabilities [tokens - 1] of a sequence's tokens from the second on, and the causal model's output."""
    row = torch.tensor([ids], device=model.device)
    output = model(row, use_cache=False, **arguments)
    log_probs = output.logits[0, :-1].float().log_softmax(-1).gather(-1, row[0, 1:, None])[:, 0]
    return log_probs.cpu(), output
