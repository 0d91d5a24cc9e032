"""Indices that the transformers model uses for one sequence, its own or given ones."""

from __future__ import annotations

import torch
from torch import Tensor

from judgerlvr.hysparse.modeling import HySparseForCausalLM


@torch.no_grad()
def trainer_choices(
    model: HySparseForCausalLM, ids: list[int], replayed: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Indices [layers, tokens, kv_heads, count] and log-probabilities [tokens - 1] of the sequence's tokens.

    ``replayed``, of the shape of the indices, are used in place of the model's own.
    """
    given = None if replayed is None else replayed.transpose(1, 2)[:, None].to(model.device)
    row = torch.tensor([ids], device=model.device)
    output = model(row, use_cache=False, block_indices=given, output_blocks=True)
    logits = output.logits[0, :-1].float()
    log_probs = logits.log_softmax(-1).gather(-1, row[0, 1:, None])[:, 0]
    return output.used_blocks[:, 0].transpose(1, 2).cpu(), log_probs.cpu()
