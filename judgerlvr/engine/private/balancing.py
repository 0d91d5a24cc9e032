"""verl's order of a step's samples, with the same samples in each update whatever the number of ranks.

verl spreads a whole step over the ranks by length. Each rank then cuts its own part into updates, so that other ranks
would make other updates.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from verl.trainer.ppo.v1 import trainer_base
from verl.utils.seqlen_balancing import get_seqlen_balanced_partitions


class SameUpdates:
    """Stands before verl's trainer in the order of classes. ``config`` is verl's."""

    config: Any

    def _balance_batch(self, batch: Any, *arguments: Any, **named: Any) -> Any:
        policy = self.config.actor_rollout_ref
        samples = policy.actor.ppo_mini_batch_size * policy.rollout.n
        spread, module = trainer_base.get_seqlen_balanced_partitions, trainer_base
        module.get_seqlen_balanced_partitions = partial(spread_updates, samples)
        try:
            return super()._balance_batch(batch, *arguments, **named)  # type: ignore[misc]
        finally:
            module.get_seqlen_balanced_partitions = spread


def spread_updates(samples: int, work: Sequence[int], k_partitions: int, equal_size: bool = True) -> list[list[int]]:
    """The places of each rank: ``samples`` consecutive places at a time, spread over the ranks by ``work``.

    A rank's part of the first update comes first, as ranks cut their places into updates in this order.
    """
    parts: list[list[int]] = [[] for _ in range(k_partitions)]
    for start in range(0, len(work), samples):
        spread = get_seqlen_balanced_partitions(work[start : start + samples], k_partitions, equal_size)
        for part, places in zip(parts, spread, strict=True):
            part += [start + place for place in places]
    return parts
