"""How far the trainer's log-probabilities lie from the rollout's, each step, and how often it would route alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transfer_queue
from torch import Tensor

from judgerlvr.engine.in_training.block_metrics import effective_share

FIELDS = ["old_log_probs", "rollout_log_probs"]
OWN = "response_mask"
EXPERTS = "differing_experts"


@dataclass(frozen=True)
class Sample:
    """``trainer`` and ``rollout`` [response tokens]: log-probabilities. ``experts`` [tokens]: in how many layers the
    trainer would have used other experts. None without router replay."""

    trainer: Tensor
    rollout: Tensor
    experts: Tensor | None = None


def read_samples(batch: Any, replays_experts: bool, own_loop: bool = False) -> list[Sample]:
    """The samples of a step's batch in verl's transfer queue, without padding samples.

    Under an agent loop of the user's (``own_loop``) only tokens that carry loss are kept: the policy wrote no others.
    """
    keys = [key for key, tag in zip(batch.keys, batch.tags, strict=True) if not tag.get("is_padding", False)]
    extra = [OWN] if own_loop else [EXPERTS] if replays_experts else []
    fields = [*FIELDS, *extra]
    data = transfer_queue.kv_batch_get(keys=keys, partition_id=batch.partition_id, select_fields=fields)
    rows = list(zip(*(data[name].unbind() for name in fields), strict=True))
    return [of_policy(*row) for row in rows if row[2].any()] if own_loop else [Sample(*row) for row in rows]


def of_policy(trainer: Tensor, rollout: Tensor, mask: Tensor) -> Sample:
    """A sample [response tokens] without the tokens that an environment wrote."""
    return Sample(trainer[mask.bool()], rollout[mask.bool()])


def mismatch_metrics(samples: Sequence[Sample], layers: int = 0) -> dict[str, float]:
    """Metrics named ``mismatch/*``.

    ``kl`` is the mean of log rollout - log trainer over sampled tokens, in nats: an estimate of KL(rollout, trainer).
    ``ess`` and ``ess_sequences`` are the effective shares of samples under weights trainer / rollout, of tokens and of
    whole responses. ``equal_experts`` is the share of choices (token, layer) that the trainer's routers would repeat,
    out of ``layers`` a token.
    """
    gaps = [(sample.trainer - sample.rollout).double() for sample in samples]
    if not gaps:
        return {}
    metrics = {
        "kl": -torch.cat(gaps).mean().item(),
        "ess": effective_share(torch.cat(gaps)),
        "ess_sequences": effective_share(torch.stack([gap.sum() for gap in gaps])),
    }
    # A response's tokens were sampled from the rows before them.
    rows = [s.experts[-1 - len(s.rollout) : -1] for s in samples if s.experts is not None]
    if rows:
        metrics["equal_experts"] = 1 - torch.cat(rows).double().mean().item() / layers
    return {f"mismatch/{name}": value for name, value in metrics.items()}
