"""Log-probabilities and entropy from hidden states, a chunk of tokens at a time.

The logits of 32,768 tokens over a vocabulary of 151,936 take 18.5 GiB in float32, and softmax as much again.
Here memory depends on ``CHUNK_ELEMENTS`` and ``KEPT_ELEMENTS`` alone: the backward pass computes other logits again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor

# Logits that exist at once, tokens x vocabulary.
CHUNK_ELEMENTS = {"cpu": 2**22, "cuda": 2**28}
# Logits that wait for the backward pass. A CPU takes long to compute logits again, and small updates fit in 64 MiB.
KEPT_ELEMENTS = {"cpu": 2**24, "cuda": 0}
# How chunks of a weight's gradient are summed in float32: "addmm" in the product itself, "add" after it.
SUMS = "addmm"


def head_log_probs(
    hidden: Tensor,
    weight: Tensor,
    labels: Tensor,
    temperature: Tensor | None = None,
    with_entropy: bool = False,
    compiled: bool = False,
) -> tuple[Tensor, Tensor]:
    """log softmax(hidden @ weight.T / temperature) at ``labels``, and the entropy of that distribution in nats.

    ``hidden`` [tokens, size] and ``weight`` [vocabulary, size] of one float dtype. ``labels`` int [tokens].
    ``temperature`` float [tokens], None for 1. Returns two tensors [tokens] in float32, or float64 for float64.
    The entropy is zero unless ``with_entropy``. ``compiled`` fuses the elementwise work of a chunk with torch.compile.
    """
    # Inside the function gradients are always off.
    room = KEPT_ELEMENTS[weight.device.type] if torch.is_grad_enabled() else 0
    log_probs, entropy = _HeadLogProbs.apply(
        hidden.to(weight.dtype), weight, labels.long(), temperature, with_entropy, compiled, room
    )
    return log_probs, entropy


class _HeadLogProbs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        labels: Tensor,
        temperature: Tensor | None,
        with_entropy: bool,
        compiled: bool,
        room: int,
    ) -> tuple[Tensor, Tensor]:
        """``room``: most logits that are kept."""
        wide = _wide(weight.dtype)
        log_probs, entropy, normalisers = (hidden.new_zeros(len(hidden), dtype=wide) for _ in range(3))
        statistics, _ = _kernels(compiled)
        kept: list[Tensor] = []
        for rows in _chunks(hidden, weight):
            logits = hidden[rows] @ weight.T
            found = statistics(logits, labels[rows], _part(temperature, rows), with_entropy)
            log_probs[rows], entropy[rows], normalisers[rows] = found
            if (rows.start + len(logits)) * len(weight) <= room:
                kept.append(logits)
        of_entropy = entropy if with_entropy else None
        ctx.save_for_backward(hidden, weight, labels, temperature, normalisers, of_entropy, *kept)
        ctx.compiled = compiled
        ctx.set_materialize_grads(False)
        return log_probs, entropy

    @staticmethod
    def backward(ctx: Any, of_log_probs: Tensor | None, of_entropy: Tensor | None) -> tuple[Tensor | None, ...]:
        hidden, weight, labels, temperature, normalisers, entropy, *kept = ctx.saved_tensors
        if of_log_probs is None:
            of_log_probs = torch.zeros_like(normalisers)
        if entropy is None:
            of_entropy = None
        for_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        for_weight = _Sum(weight) if ctx.needs_input_grad[1] else None
        _, gradient = _kernels(ctx.compiled)
        for number, rows in enumerate(_chunks(hidden, weight)):
            logits = kept[number] if number < len(kept) else hidden[rows] @ weight.T
            of_logits = gradient(
                logits,
                labels[rows],
                normalisers[rows],
                of_log_probs[rows],
                _part(temperature, rows),
                _part(of_entropy, rows),
                _part(entropy, rows),
            )
            if for_hidden is not None:
                torch.mm(of_logits, weight, out=for_hidden[rows])
            if for_weight is not None:
                for_weight.add(of_logits, hidden[rows])
        return for_hidden, None if for_weight is None else for_weight.total(), None, None, None, None, None


class _Sum:
    """Sum over chunks of a weight's gradient, in float32 at least. A sum in bfloat16 loses small addends."""

    def __init__(self, weight: Tensor) -> None:
        self.dtype, self.wide = weight.dtype, _wide(weight.dtype)
        self.parts: Tensor | None = None

    def add(self, of_logits: Tensor, hidden: Tensor) -> None:
        if self.parts is None:
            self.parts = of_logits.T @ hidden
        elif self.dtype == self.wide:
            self.parts.addmm_(of_logits.T, hidden)
        elif SUMS == "addmm" and hidden.is_cuda:
            wide = self.parts.to(self.wide)
            self.parts = torch.addmm(wide, of_logits.T, hidden, out_dtype=self.wide, out=wide)
        else:
            self.parts = self.parts.to(self.wide).add_(of_logits.T @ hidden)

    def total(self) -> Tensor:
        assert self.parts is not None
        return self.parts.to(self.dtype)


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _chunks(hidden: Tensor, weight: Tensor) -> Iterator[slice]:
    size = max(1, CHUNK_ELEMENTS[hidden.device.type] // len(weight))
    return (slice(start, start + size) for start in range(0, len(hidden), size))


def _part(values: Tensor | None, rows: slice) -> Tensor | None:
    return None if values is None else values[rows]


def _scaled(logits: Tensor, temperature: Tensor | None) -> Tensor:
    wide = logits.to(_wide(logits.dtype))
    return wide if temperature is None else wide / temperature.clamp(min=1e-8)[:, None]


def _statistics(
    logits: Tensor, labels: Tensor, temperature: Tensor | None, with_entropy: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """(log-probability, entropy, log of the softmax's denominator) of each row."""
    scaled = _scaled(logits, temperature)
    normaliser = scaled.logsumexp(dim=-1)
    log_prob = scaled.gather(1, labels[:, None])[:, 0] - normaliser
    if not with_entropy:
        return log_prob, torch.zeros_like(log_prob), normaliser
    entropy = normaliser - ((scaled - normaliser[:, None]).exp() * scaled).sum(dim=-1)
    return log_prob, entropy, normaliser


def _gradient(
    logits: Tensor,
    labels: Tensor,
    normaliser: Tensor,
    of_log_prob: Tensor,
    temperature: Tensor | None,
    of_entropy: Tensor | None,
    entropy: Tensor | None,
) -> Tensor:
    """of_log_prob (onehot - p) - of_entropy p (log p + entropy), with p the row's softmax."""
    log_p = _scaled(logits, temperature) - normaliser[:, None]
    at_label = torch.arange(logits.shape[1], device=logits.device) == labels[:, None]
    found = of_log_prob[:, None] * (at_label.to(log_p.dtype) - log_p.exp())
    if of_entropy is not None and entropy is not None:
        found = found - of_entropy[:, None] * log_p.exp() * (log_p + entropy[:, None])
    if temperature is not None:
        found = found / temperature.clamp(min=1e-8)[:, None]
    return found.to(logits.dtype)


@cache
def _kernels(compiled: bool) -> tuple[Callable[..., tuple[Tensor, Tensor, Tensor]], Callable[..., Tensor]]:
    if not compiled:
        return _statistics, _plain_gradient
    return torch.compile(_statistics, dynamic=True), torch.compile(_gradient, dynamic=True)


def _plain_gradient(
    logits: Tensor,
    labels: Tensor,
    normaliser: Tensor,
    of_log_prob: Tensor,
    temperature: Tensor | None,
    of_entropy: Tensor | None,
    entropy: Tensor | None,
) -> Tensor:
    """``_gradient`` in place, for a device without a compiler."""
    log_p = _scaled(logits, temperature)
    log_p = log_p.sub_(normaliser[:, None]) if log_p is not logits else log_p - normaliser[:, None]
    factor = -of_log_prob[:, None]
    if of_entropy is not None and entropy is not None:
        factor = factor - of_entropy[:, None] * (log_p + entropy[:, None])
    found = log_p.exp_().mul_(factor).scatter_add_(1, labels[:, None], of_log_prob[:, None])
    if temperature is not None:
        found.div_(temperature.clamp(min=1e-8)[:, None])
    return found.to(logits.dtype)
