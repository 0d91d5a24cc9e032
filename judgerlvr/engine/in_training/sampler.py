"""The batch of a step: waits for rollouts, replaces uniform groups within bounds, orders what is trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transfer_queue import KVBatchMeta

from judgerlvr.engine.in_training.rollout_stats import step_metrics
from judgerlvr.engine.in_training.rollouts import Rollout, read_rollouts, write_rollouts
from judgerlvr.engine.private.groups import TerminalGroups
from judgerlvr.runs.metrics import EXTRA_ROUNDS, GENERATED_TOKENS, GROUPS, UNIFORM
from judgerlvr.runs.rollout_log import ROLLOUTS

TRAIN = "train"
POLL_SECONDS = 0.1


def choose(groups: dict[str, list[float]], wanted: int, replace_uniform: bool) -> tuple[list[str], int]:
    """(uids to train on, uniform groups among them) of groups given in prompt order, rewards by group.

    Mixed groups come first, each kind in prompt order. A uniform group has zero advantage and only fills the
    batch up to the fixed size.
    """
    uniform = [uid for uid, rewards in groups.items() if replace_uniform and len(set(rewards)) == 1]
    mixed = [uid for uid in groups if uid not in set(uniform)]
    chosen = (mixed + uniform)[:wanted]
    return chosen, len(set(chosen) & set(uniform))


class BoundedSampler(TerminalGroups):
    """verl's custom sampler: synchronous, deterministic in prompt order, with a bounded number of refills.

    A step draws at most ``max_extra_rounds`` further batches of prompts for uniform groups (DAPO's dynamic
    sampling, arXiv 2503.14476 section 3.2), then trains on what there is.
    """

    def __init__(self, sampler_kwargs: Any, **kwargs: Any) -> None:
        super().__init__(sampler_kwargs=sampler_kwargs, poll_interval=POLL_SECONDS, **kwargs)
        self.replace_uniform = bool(sampler_kwargs["replace_uniform"])
        self.max_extra_rounds = int(sampler_kwargs["max_extra_rounds"])
        self.kind = str(sampler_kwargs["kind"])
        self.log_dir = Path(sampler_kwargs["run_dir"]) / ROLLOUTS
        self.logged_prompts = int(sampler_kwargs["logged_prompts"])
        self.generated_tokens = 0
        # Set by the trainer once it has a tokenizer: token ids -> text, for the rollout log.
        self.decode: Any = None

    def sample(self, global_steps: int, partition_id: str, batch_size: int) -> tuple[KVBatchMeta, dict[str, Any]]:
        """One batch of ``batch_size`` groups and the metrics of all sampled groups."""
        if partition_id != TRAIN:
            tags, prompts = self._wait_for_all(partition_id, batch_size)
            return self._batch(partition_id, prompts[:batch_size], tags), {}
        rollouts, tags, rounds = self._sample_rounds(batch_size)
        groups = {uid: [rollout.score for rollout in group] for uid, group in rollouts.items()}
        chosen, uniform = choose(groups, batch_size, self.replace_uniform)
        self.drop(TRAIN, set(rollouts) - set(chosen))
        everything = [rollout for group in rollouts.values() for rollout in group]
        self.generated_tokens += sum(rollout.tokens for rollout in everything)
        self._log(global_steps, rollouts)
        metrics = step_metrics(self.kind, everything) | {
            EXTRA_ROUNDS.name: rounds,
            GROUPS.name: len(rollouts),
            UNIFORM.name: uniform,
            GENERATED_TOKENS.name: self.generated_tokens,
        }
        return self._batch(TRAIN, chosen, tags), metrics

    def _sample_rounds(self, batch_size: int) -> tuple[dict[str, list[Rollout]], dict[str, Any], int]:
        for rounds in range(self.max_extra_rounds + 1):
            tags, prompts = self._wait_for_all(TRAIN, batch_size)
            rollouts = read_rollouts(TRAIN, prompts, tags)
            mixed = sum(len({rollout.score for rollout in group}) > 1 for group in rollouts.values())
            missing = batch_size - mixed
            if not self.replace_uniform or missing <= 0 or rounds == self.max_extra_rounds:
                break
            self.refill(missing)
        return rollouts, tags, rounds

    def _wait_for_all(self, partition: str, at_least: int) -> tuple[dict[str, Any], list[str]]:
        """Trajectory tags and finished prompts in submission order, once nothing is in flight."""
        while True:
            tags, prompts, done, waiting = self.snapshot(partition)
            if waiting == 0 and len(done) >= at_least:
                return tags, [uid for uid in prompts if uid in done]
            self.wait()

    def _batch(self, partition: str, uids: list[str], tags: dict[str, Any]) -> KVBatchMeta:
        """Trajectories ordered by prompt, then sample: the same batch whatever order they arrived in."""
        place = {uid: index for index, uid in enumerate(uids)}
        keys = [key for key in tags if key.split("_")[0] in place]
        keys.sort(key=lambda key: (place[key.split("_")[0]], *map(int, key.split("_")[1:])))
        self.forget_prompts(partition, uids)
        return KVBatchMeta(partition_id=partition, keys=keys, tags=[tags[key] for key in keys])

    def _log(self, step: int, rollouts: dict[str, list[Rollout]]) -> None:
        shown = list(rollouts.values())[: self.logged_prompts]
        if shown and self.decode is not None:
            write_rollouts(self.log_dir, step, shown, self.decode)
