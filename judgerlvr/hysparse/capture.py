"""Indices that a model chose: of one forward with transformers, of one request at a time with vLLM."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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


class Recorder:
    """Indices that each selecting layer of a running engine wrote, step by step."""

    def __init__(self) -> None:
        self.steps: dict[int, list[Tensor]] = defaultdict(list)

    def attach(self, model: Any) -> list[Any]:
        """Hooks on the engine's model; eager engines only, since a captured graph runs none."""
        layers = [layer.self_attn for layer in model.model.layers]
        selecting = [
            layer for layer in layers if hasattr(getattr(getattr(layer, "attn", None), "impl", None), "selected")
        ]
        return [layer.register_forward_hook(self._keep) for layer in selecting]

    def take(self) -> Tensor:
        """[layers, tokens, kv_heads, count] since the last call, tokens in the order they were computed in."""
        choices = torch.stack([torch.cat(steps) for _, steps in sorted(self.steps.items())])
        self.steps.clear()
        return choices

    def _keep(self, module: Any, arguments: tuple[Any, ...], _out: Any) -> None:
        _positions, hidden = arguments
        self.steps[module.layer].append(module.attn.impl.selected[: len(hidden)].cpu().clone())


@contextmanager
def recording(llm: Any) -> Iterator[Recorder]:
    """Record from a ``vllm.LLM`` in this process (VLLM_ENABLE_V1_MULTIPROCESSING=0, enforce_eager, no prefix cache).

    One request at a time: a step's tokens are not labelled with their requests.
    """
    recorder = Recorder()
    (hooks,) = llm.apply_model(recorder.attach)
    try:
        yield recorder
    finally:
        for hook in hooks:
            hook.remove()
