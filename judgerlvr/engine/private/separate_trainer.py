"""verl's trainer whose rollout has devices of its own, with one update of the rollout's weights a step."""

from __future__ import annotations

import logging
from typing import Any

from omegaconf import DictConfig
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1 import trainer_separate_async
from verl.trainer.ppo.v1.trainer_base import PPOTrainer
from verl.trainer.ppo.v1.trainer_separate_async import PPOTrainerSeparateAsync

# verl gives a logger the argument ``flush`` of ``print``. A call that is below the level does not fail.
trainer_separate_async.logger.setLevel(logging.WARNING)
MINI_BATCH = "ppo_mini_batch_size"


class OneSync(PPOTrainerSeparateAsync):
    """A step may have several updates of the policy, as in verl's other trainers."""

    def __init__(self, config: DictConfig) -> None:
        actor = config.actor_rollout_ref.actor
        updated = actor[MINI_BATCH]
        # verl asserts here that updates and syncs are equally many, and needs the equality nowhere else.
        actor[MINI_BATCH] = config.data.train_batch_size
        super().__init__(config)
        actor[MINI_BATCH] = updated

    def _compute_old_log_prob(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> Any:
        """verl's other trainers' pass. This trainer's would copy the weights to the host for syncs that never come."""
        return PPOTrainer._compute_old_log_prob(self, batch, metrics)
