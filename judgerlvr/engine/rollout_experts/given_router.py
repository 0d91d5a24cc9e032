"""A router of transformers' Qwen3-MoE that takes experts from outside and weighs the experts itself."""

from __future__ import annotations

from torch import Tensor, nn
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeTopKRouter

from judgerlvr.hysparse.model.experts import router_weights


class GivenRouter:
    """``given`` int64 [tokens, top_k]: experts of the next pass, None for the router's own choice. ``chosen``, of the
    same shape: the router's own choice in the last pass."""

    def __init__(self, gate: Qwen3MoeTopKRouter) -> None:
        self.gate = gate
        self.given: Tensor | None = None
        self.chosen: Tensor | None = None
        gate.forward = self._forward

    def _forward(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, weights, used = type(self.gate).forward(self.gate, hidden)
        self.chosen = used
        if self.given is not None:
            used = self.given
            weights = router_weights(logits, used, self.gate.norm_topk_prob)
        return logits, weights, used


def given_routers(model: nn.Module) -> dict[int, GivenRouter]:
    """Of each layer that has a router, by the layer's number. Raises ValueError where the model has none."""
    gates = {name: part for name, part in model.named_modules() if isinstance(part, Qwen3MoeTopKRouter)}
    if not gates:
        raise ValueError("model.replay_experts is set, and this policy has no router of Qwen3-MoE; unset it")
    return {int(name.split(".layers.")[1].split(".")[0]): GivenRouter(gate) for name, gate in gates.items()}
