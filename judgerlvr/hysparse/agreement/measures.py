"""How often rollout and trainer choose the same blocks. Their arithmetic differs, and a choice is discrete.

A row is one token. A choice is one (token, full layer that selects, KV head). Only choices among more blocks than may
be selected can differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from judgerlvr.hysparse.ops.selection import Selection


@dataclass(frozen=True)
class Agreement:
    """``must`` [tokens]: the row sees more blocks than it may select. ``same`` [layers, tokens, kv_heads]: choices with
    equal sets.
    """

    must: Tensor
    same: Tensor

    @property
    def crowded(self) -> float:
        """Share of rows that see more blocks than they may select."""
        return self.must.double().mean().item()

    @property
    def equal(self) -> float:
        """Share of the choices of crowded rows with equal sets. 1 if no row is crowded."""
        judged = self.same[:, self.must]
        return judged.double().mean().item() if judged.numel() else 1.0

    @property
    def differing(self) -> Tensor:
        """Boolean [tokens]: rows in which any choice differs."""
        return ~self.same.all(dim=2).all(dim=0)


def crowded_rows(tokens: int, selection: Selection) -> Tensor:
    """Boolean [tokens]: the row sees more blocks than it may select."""
    return torch.arange(tokens) // selection.block + 1 > selection.count


def agreement(rollout: Tensor, trainer: Tensor, selection: Selection) -> Agreement:
    """Compare indices of one whole sequence, both int [layers, tokens, kv_heads, count], ascending, padded with -1.

    Raises ValueError if a token is missing on one side. A share of the tokens that happen to be present would be no
    measure.
    """
    if rollout.shape != trainer.shape:
        raise ValueError(f"rollout has indices {list(rollout.shape)}, trainer {list(trainer.shape)}")
    return Agreement(crowded_rows(rollout.shape[1], selection), (rollout == trainer).all(dim=-1))


def pooled(sequences: Sequence[Agreement]) -> Agreement:
    """Several sequences as one. Each token counts alike, however long its sequence is."""
    return Agreement(torch.cat([one.must for one in sequences]), torch.cat([one.same for one in sequences], dim=1))


def equal_experts(rollout: Tensor, trainer: Tensor) -> Tensor:
    """Boolean [...]: both name the same experts [..., top_k], in any order."""
    return (rollout.sort(dim=-1).values == trainer.sort(dim=-1).values).all(dim=-1)


def split_difference(log_probs: Tensor, others: Tensor, differing: Tensor) -> dict[str, float]:
    """Mean absolute difference of log-probabilities [tokens] over agreeing and differing rows. Absent rows are left
    out.
    """
    gap = (log_probs - others).abs()
    parts = {"agreeing": gap[~differing], "differing": gap[differing]}
    return {name: part.mean().item() for name, part in parts.items() if len(part)}
