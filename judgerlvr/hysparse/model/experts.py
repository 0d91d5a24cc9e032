"""A mixture of experts that uses given experts, such as a rollout's choice, with the weights of its own router."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeSparseMoeBlock


class ChosenExperts:
    """Experts for one layer of a forward. ``indices`` [batch, tokens, top_k] are the experts to use, None for the
    layer's own choice. ``compare`` asks the layer to keep its own choice as ``chosen``, of the same shape.

    Not a dataclass, for the reason given in ``attention.SelectedBlocks``. Checkpointing re-runs the layer with the same
    object.
    """

    def __init__(self, indices: Tensor | None = None, compare: bool = False) -> None:
        self.indices, self.compare = indices, compare
        self.chosen: Tensor | None = None


class SparseMoeBlock(Qwen3MoeSparseMoeBlock):
    """transformers' block with given experts, as ``ChosenExperts`` describes."""

    def forward(self, hidden: Tensor, experts: ChosenExperts | None = None) -> Tensor:
        """[batch, tokens, hidden_size] to the same shape."""
        if experts is None:
            plain: Tensor = super().forward(hidden)
            return plain
        flat = hidden.flatten(0, 1)
        logits, weights, used = self.gate(flat)
        if experts.compare:
            experts.chosen = used.unflatten(0, hidden.shape[:2])
        if experts.indices is not None:
            used = experts.indices.flatten(0, 1)
            weights = router_weights(logits, used, self.gate.norm_topk_prob)
        out: Tensor = self.experts(flat, used, weights)
        return out.view_as(hidden)


def router_weights(logits: Tensor, used: Tensor, normed: bool) -> Tensor:
    """Weights that a router would give to ``used`` [rows, top_k], had it chosen them among ``logits`` [rows, experts].

    The order of operations is the router's own, so the router's own choice changes no bit.
    """
    weights = logits.softmax(dim=-1, dtype=torch.float).gather(-1, used)
    if normed:
        weights = weights / weights.sum(dim=-1, keepdim=True)
    return weights.to(logits.dtype)
