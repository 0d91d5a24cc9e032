"""How far a student is from its source on packed texts, and the loss of either model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from judgerlvr.hysparse.conversion.texts import IGNORED, Packed
from rewards.errors import InputError


def next_token_logits(model: nn.Module, batch: Packed) -> Tensor:
    """Float32 logits where a next token exists, [tokens, vocab_size]."""
    logits = model(batch.ids, position_ids=batch.positions, use_cache=False).logits
    return logits[batch.labels != IGNORED].float()


def decoder_layers(model: nn.Module) -> nn.ModuleList:
    """The layers of a model, which may lie in a wrapper for several processes."""
    whole: Any = getattr(model, "module", model)
    layers: nn.ModuleList = whole.model.layers
    return layers


@contextmanager
def layer_outputs(model: nn.Module, watched: bool) -> Iterator[list[Tensor]]:
    """Collect the hidden states [rows, length, hidden_size] of all layers in the forwards made meanwhile, if
    ``watched``.
    """
    kept: list[Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda _layer, _given, out: kept.append(out[0] if isinstance(out, tuple) else out))
        for layer in (decoder_layers(model) if watched else ())
    ]
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()


def divergence(student: nn.Module, source: PreTrainedModel, batch: Packed, hidden: float = 0.0) -> Tensor:
    """KL divergence of the student's next-token distribution from the source's, in nats, summed over learnt tokens.

    ``hidden`` times the mean squared distance of the layers from the source's is added for each learnt token, relative
    to the source's square.
    """
    with torch.no_grad(), layer_outputs(source, hidden > 0) as wanted:
        target = next_token_logits(source, batch).log_softmax(-1)
    with layer_outputs(student, hidden > 0) as reached:
        ours = next_token_logits(student, batch).log_softmax(-1)
    loss = F.kl_div(ours, target, reduction="sum", log_target=True)
    if not hidden:
        return loss
    learnt = batch.labels != IGNORED
    distances = [
        ((mine[learnt].float() - theirs[learnt].float()).square().sum() / theirs[learnt].float().square().sum())
        for mine, theirs in zip(reached, wanted, strict=True)
    ]
    return loss + hidden * learnt.sum() * torch.stack(distances).mean()


@torch.no_grad()
def heldout_loss(model: nn.Module, texts: Packed, rows: int) -> float:
    """Cross-entropy in nats a token over all rows."""
    total = 0.0
    for numbers in torch.arange(len(texts.ids)).split(rows):
        batch = texts.part(numbers)
        wanted = batch.labels[batch.labels != IGNORED]
        total += F.cross_entropy(next_token_logits(model, batch), wanted, reduction="sum").item()
    return total / int((texts.labels != IGNORED).sum())


def check_loss(
    loss: float, name: str, directory: Path, remedy: str = "give a model with a finite loss above 0"
) -> None:
    """Raise InputError for a loss on which no figure may rest: NaN, infinite, or 0, over which no ratio is taken."""
    if not 0 < loss < math.inf:
        raise InputError(f"{name} is {loss}", remedy, file=directory)
