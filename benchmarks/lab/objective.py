"""The objective of both stages, per run: verl's token-mean clipped loss over group-normalised advantages."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

EPSILON = 1e-6
LARGEST_LOG_RATIO = 20.0


@dataclass(frozen=True)
class Clip:
    """Clip range of the ratio, and the bound of the dual clip for negative advantages."""

    low: float = 0.20
    high: float = 0.28
    dual: float = 3.0


def group_advantages(rewards: Tensor, group: int) -> tuple[Tensor, Tensor]:
    """Rewards [R, B], ``group`` neighbours a prompt -> advantages [R, B] and the mask of groups with spread [R, B].

    An advantage is (reward - mean) / (std + 1e-6) with the unbiased std of the group, as GRPO in verl.
    """
    grouped = rewards.unflatten(1, (-1, group))
    centred = grouped - grouped.mean(-1, keepdim=True)
    spread = grouped.std(-1, keepdim=True)
    mixed = (grouped.amax(-1, keepdim=True) - grouped.amin(-1, keepdim=True)) > EPSILON
    advantages = torch.where(mixed, centred / (spread + EPSILON), torch.zeros_like(centred))
    return advantages.flatten(1), mixed.expand_as(grouped).flatten(1)


def policy_loss(new: Tensor, old: Tensor, advantages: Tensor, mask: Tensor, tokens: Tensor, clip: Clip) -> Tensor:
    """Loss [R] of log-probabilities [R, n, T], advantages [R, n]: the sum over ``mask`` divided by ``tokens`` [R]."""
    ratio = (new - old).clamp(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO).exp()
    weight = advantages[..., None]
    loss = torch.maximum(-weight * ratio, -weight * ratio.clamp(1 - clip.low, 1 + clip.high))
    loss = torch.where(weight < 0, torch.minimum(loss, -weight * clip.dual), loss)
    return (loss * mask).sum((1, 2)) / tokens


def token_logprobs(logits: Tensor, tokens: Tensor) -> Tensor:
    """Log-probability [R, n, T] of each token under logits [R, n, T, V]."""
    return torch.log_softmax(logits, -1).gather(3, tokens[..., None])[..., 0]
