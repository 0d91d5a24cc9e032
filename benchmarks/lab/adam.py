"""Adam for an ensemble: one learning rate and one gradient norm a run."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.lab.model import Weights


@dataclass(frozen=True)
class AdamConfig:
    first: float = 0.9
    second: float = 0.999
    epsilon: float = 1e-8
    largest_norm: float = 1.0
    decay: float = 0.0


class Adam:
    """Steps all runs of ``weights`` from their gradients. ``rates`` [R]."""

    def __init__(self, weights: Weights, rates: Tensor, config: AdamConfig | None = None) -> None:
        self.weights, self.rates, self.config, self.steps = weights, rates, config or AdamConfig(), 0
        self.first = {name: torch.zeros_like(value) for name, value in weights.items()}
        self.second = {name: torch.zeros_like(value) for name, value in weights.items()}

    @torch.no_grad()
    def step(self, scale: float = 1.0, live: Tensor | None = None) -> Tensor:
        """One update. Returns the gradient norms [R]. Runs that are not ``live`` [R] keep weights and moments."""
        self.steps += 1
        c = self.config
        norms = torch.stack([self._gradient(name).flatten(1).pow(2).sum(1) for name in self.weights]).sum(0).sqrt()
        shrink = (c.largest_norm / (norms + 1e-6)).clamp_max(1.0)
        live = torch.ones_like(norms) if live is None else live.float()
        names = list(self.weights)
        gradients = [self._gradient(name) * per_run(shrink, self.weights[name]) for name in names]
        for name, gradient in zip(names, gradients, strict=True):
            weight, first, second = self.weights[name], self.first[name], self.second[name]
            alive = per_run(live, weight)
            first.add_((gradient - first) * alive, alpha=1 - c.first)
            second.add_((gradient * gradient - second) * alive, alpha=1 - c.second)
            size = (second / (1 - c.second**self.steps)).sqrt_().add_(c.epsilon)
            rate = per_run(self.rates * scale * live, weight)
            if c.decay and weight.dim() > 2:
                weight.mul_(1 - rate * c.decay)
            weight.sub_(rate * (first / (1 - c.first**self.steps)) / size)
            weight.grad = None
        return norms

    def _gradient(self, name: str) -> Tensor:
        weight = self.weights[name]
        return torch.zeros_like(weight) if weight.grad is None else weight.grad


def per_run(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.dim() - 1))
