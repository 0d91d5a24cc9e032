"""How what a HySparse rollout chose agrees with the trainer's choices, and what differing blocks cost, each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transfer_queue
from torch import Tensor

from judgerlvr.hysparse.agreement.measures import crowded_rows, split_difference
from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.hysparse.replay.rollout_choices import carried_sizes

FIELDS = ["differing_used", "differing_chosen", "old_log_probs", "rollout_log_probs"]
EXPERTS = "differing_experts"
MIB = 2**20


@dataclass(frozen=True)
class Compared:
    """One sample.

    ``used`` [tokens]: how many choices (layer, KV head) that the trainer used are not the rollout's.
    ``chosen`` [tokens]: how many choices that the trainer would have made are not the rollout's.
    ``trainer`` and ``rollout`` [response tokens]: log-probabilities, each computed in the row before its token.
    ``experts`` [tokens]: in how many layers the trainer would have used other experts. None for a dense model.
    """

    used: Tensor
    chosen: Tensor
    trainer: Tensor
    rollout: Tensor
    experts: Tensor | None = None

    def predicting(self, rows: Tensor) -> Tensor:
        """The part of ``rows`` [tokens] that the response's tokens were sampled from."""
        return rows[-1 - len(self.rollout) : -1]


def read_compared(batch: Any, config: HySparseConfig) -> list[Compared]:
    """The samples of a step's batch in verl's transfer queue, without padding samples."""
    keys = [key for key, tag in zip(batch.keys, batch.tags, strict=True) if not tag.get("is_padding", False)]
    fields = [*FIELDS, EXPERTS] if config.expert_layers else FIELDS
    data = transfer_queue.kv_batch_get(keys=keys, partition_id=batch.partition_id, select_fields=fields)
    columns = [data[name].unbind() for name in fields]
    return [Compared(*row) for row in zip(*columns, strict=True)]


def block_metrics(samples: Sequence[Compared], config: HySparseConfig) -> dict[str, float]:
    """Metrics named ``hysparse/*``. docs/hysparse-vllm.md explains each metric."""
    choices = len(config.selecting_layers) * config.num_key_value_heads
    # The last token is in no rollout's batch, since the rollout sampled the token and stopped.
    crowded = [crowded_rows(len(sample.chosen) - 1, config.selection) for sample in samples]
    differing = sum(int(sample.chosen[:-1].sum()) for sample in samples)
    could = choices * sum(int(rows.sum()) for rows in crowded)
    trainer, rollout = (torch.cat([getattr(s, name).double() for s in samples]) for name in ("trainer", "rollout"))
    used, chosen = (torch.cat([s.predicting(getattr(s, name)) > 0 for s in samples]) for name in ("used", "chosen"))
    metrics = {
        "crowded_rows": torch.cat(crowded).double().mean().item(),
        "equal_choices": 1 - differing / could if could else 1.0,
        "differing_rows": used.double().mean().item(),
        "replay_mib": replay_bytes(samples, config) / MIB,
        "ess": effective_share(trainer - rollout),
        "ess_sequences": effective_share(torch.stack([(s.trainer - s.rollout).double().sum() for s in samples])),
    }
    experts = [sample.predicting(sample.experts) for sample in samples if sample.experts is not None]
    if experts:
        metrics["equal_experts"] = 1 - torch.cat(experts).double().mean().item() / len(config.expert_layers)
    split = split_difference(trainer, rollout, chosen)
    metrics |= {f"mismatch_{name}": value for name, value in split.items()}
    return {f"hysparse/{name}": value for name, value in metrics.items()}


def replay_bytes(samples: Sequence[Compared], config: HySparseConfig) -> int:
    """Bytes of the rollout's choices that a step carried to the trainer, padding samples left out."""
    sizes = carried_sizes(config)
    return sum(sizes.bytes(len(sample.used)) for sample in samples)


def effective_share(log_weights: Tensor) -> float:
    """Effective sample size of importance weights exp(``log_weights``) [n], (sum w)^2 / sum w^2, as a share of n."""
    # In logarithms, because the weight of a long sequence overflows.
    twice = 2 * log_weights.logsumexp(0) - (2 * log_weights).logsumexp(0)
    return twice.exp().item() / len(log_weights)
