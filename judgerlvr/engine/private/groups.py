"""verl's replay buffer, taken apart."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import transfer_queue
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer


class RolloutError(Exception):
    """A response could not be generated or graded. verl would train on the rest of the group."""


class TerminalGroups(ReplayBuffer):
    """verl's replay buffer, its snapshot and selection steps under public names.

    The built-in ``sample`` polls every 2 s, orders a batch by arrival, ignores ``max_num_gen_batches`` and never
    returns while all groups are uniform. This class exposes the parts of ``sample``, which are sound.
    """

    def snapshot(self, partition: str) -> tuple[dict[str, dict[str, Any]], list[str], set[str], int]:
        """(trajectory tags by key, prompt uids in submission order, finished uids, prompts still in flight)."""
        self._sync_metadata_from_transfer_queue()
        if self.failure_keys[partition]:
            count = len(self.failure_keys[partition])
            raise RolloutError(f"{count} prompts failed in the rollout engine; its error is in engine.log")
        waiting = len(self.pending_keys[partition]) + len(self.running_keys[partition])
        done = set(self.finished_keys[partition])
        return self.partitions[partition], list(self.prompt_global_steps[partition]), done, waiting

    def oldest_in_flight(self, partition: str) -> int | None:
        """The earliest step that submitted a prompt which is still sampled, by the last snapshot."""
        waiting = self.pending_keys[partition] | self.running_keys[partition]
        return min((self.prompt_global_steps[partition][uid] for uid in waiting), default=None)

    def drop(self, partition: str, uids: set[str]) -> None:
        self._clear_groups(partition, uids)

    def forget_prompts(self, partition: str, uids: list[str]) -> None:
        """Remove the prompts' status entries. The trajectories stay for training."""
        transfer_queue.kv_clear(partition_id=partition, keys=uids)

    def wait(self) -> None:
        time.sleep(self.poll_interval)

    def refill(self, prompts: int) -> None:
        refill: Callable[[int], int] = self.refill_fn
        refill(prompts)
