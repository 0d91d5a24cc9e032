"""The transformers model's side of one sequence: log-probabilities and choices."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from judgerlvr.hysparse.model.modeling import HySparseForCausalLM
from judgerlvr.hysparse.replay.rollout_choices import Choices


def trainer_choices(
    model: HySparseForCausalLM, ids: list[int], replayed: Choices | None = None
) -> tuple[Choices, Tensor]:
    """The model's own choices and the log-probabilities [tokens - 1] of the sequence's tokens.

    ``replayed`` choices are used in place of the model's own. The model then makes its own choices on hidden states
    that follow from the replayed ones.
    """
    given = {} if replayed is None else as_arguments(model, replayed)
    log_probs, output = forward(model, ids, output_blocks=True, **given)
    blocks, experts = output.chosen_blocks[:, 0].transpose(1, 2).cpu(), output.chosen_experts
    return Choices(blocks, None if experts is None else experts[:, 0].cpu()), log_probs


def as_arguments(model: HySparseForCausalLM, replayed: Choices) -> dict[str, Tensor]:
    given = {"block_indices": replayed.blocks.transpose(1, 2)[:, None].to(model.device)}
    if replayed.experts is not None:
        given["expert_indices"] = replayed.experts[:, None].to(model.device)
    return given


@torch.no_grad()
def forward(model: Any, ids: list[int], **arguments: Any) -> tuple[Tensor, Any]:
    """Log-probabilities [tokens - 1] of a sequence's tokens from the second on, and the causal model's output."""
    row = torch.tensor([ids], device=model.device)
    output = model(row, use_cache=False, **arguments)
    log_probs = output.logits[0, :-1].float().log_softmax(-1).gather(-1, row[0, 1:, None])[:, 0]
    return log_probs.cpu(), output
