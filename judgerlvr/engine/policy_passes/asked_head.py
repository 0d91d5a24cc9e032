"""The policy's head, made to answer with log-probabilities where it would give logits.

FSDP gathers a head's weight for the head's own forward alone, so the work is done there. The model's forward stays as
transformers has it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from judgerlvr.engine.policy_passes.head_log_probs import head_log_probs


@dataclass(frozen=True)
class Question:
    """``labels`` int [tokens] and ``temperature`` float [tokens], None for 1, of the next packed row.

    ``rows`` int [tokens] is the row of each token among the hidden states, None where each token has its own row.
    """

    labels: Tensor
    temperature: Tensor | None
    with_entropy: bool
    rows: Tensor | None = None


class AskedHead:
    """Answers one ``ask`` by ``take``. A head without a question gives logits."""

    def __init__(self, head: nn.Module, compiled: bool = False) -> None:
        """Raises ValueError for a head that is more than a product with one weight."""
        if not isinstance(head, nn.Linear) or head.bias is not None:
            raise ValueError(
                f"the policy's head is a {type(head).__name__} or has a bias; a plain linear one is needed"
            )
        self.head, self.compiled = head, compiled
        self.question: Question | None = None
        self.answer: Tensor | None = None
        head.forward = self._forward

    def ask(self, question: Question) -> None:
        self.question, self.answer = question, None

    def take(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """(log-probabilities, entropy), float32 [tokens], from what the model returned as its logits.

        Raises:
            ValueError: the model changes its logits after the head, by a cap or a scale.
        """
        answer, self.answer = self.answer, None
        if answer is None or logits.shape != answer.shape or logits.data_ptr() != answer.data_ptr():
            raise ValueError("this model changes its logits after its head (a cap or a scale), which is not supported")
        log_probs, entropy = logits[0].unbind(dim=-1)
        return log_probs, entropy

    def _forward(self, hidden: Tensor) -> Tensor:
        question, self.question = self.question, None
        if question is None:
            return nn.functional.linear(hidden, self.head.weight)
        states = hidden.flatten(0, -2)
        found = head_log_probs(
            states if question.rows is None else states.index_select(0, question.rows),
            self.head.weight,
            question.labels,
            question.temperature,
            question.with_entropy,
            self.compiled,
        )
        # FSDP hangs hooks on this tensor, and a view would lose the hooks.
        self.answer = torch.stack([part[None] for part in found], dim=-1)
        return self.answer
