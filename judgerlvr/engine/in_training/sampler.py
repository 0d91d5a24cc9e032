"""The batch of a step: waits for rollouts, replaces uniform groups within bounds, orders what is trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from transfer_queue import KVBatchMeta

from judgerlvr.engine.in_training.rollout_stats import step_metrics
from judgerlvr.engine.in_training.rollouts import Rollout, read_rollouts, write_rollouts
from judgerlvr.engine.private.groups import TerminalGroups
from judgerlvr.runs.metrics import EXTRA_ROUNDS, FLOW, GENERATED_TOKENS, GROUPS, UNIFORM
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
        self.step = 0  # the step at work
        # Set by the trainer once it has a tokenizer: token ids -> text, for the rollout log.
        self.decode: Any = None

    def sample(self, global_steps: int, partition_id: str, batch_size: int) -> tuple[KVBatchMeta, dict[str, Any]]:
        """One batch of ``batch_size`` groups and the metrics of all sampled groups."""
        if partition_id != TRAIN:
            tags, prompts = self._wait_for_all(partition_id, batch_size)
            return self._batch(partition_id, prompts[:batch_size], tags), {}
        self.step = global_steps
        rollouts, tags, rounds = self._sample_rounds(batch_size)
        groups = {uid: [rollout.score for rollout in group] for uid, group in rollouts.items()}
        chosen, uniform = choose(groups, batch_size, self.replace_uniform)
        left = self._left(groups, chosen)
        rollouts = {uid: group for uid, group in rollouts.items() if uid not in left}
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
        batch = self._batch(TRAIN, chosen, tags)
        return batch, metrics | self._ages(batch.tags)

    def _sample_rounds(self, batch_size: int) -> tuple[dict[str, list[Rollout]], dict[str, Any], int]:
        wanted = batch_size
        for rounds in range(self.max_extra_rounds + 1):
            tags, prompts = self._wait_for(TRAIN, wanted)
            rollouts = read_rollouts(TRAIN, prompts, tags)
            mixed = sum(len({rollout.score for rollout in group}) > 1 for group in rollouts.values())
            missing = batch_size - mixed
            if not self.replace_uniform or missing <= 0 or rounds == self.max_extra_rounds:
                break
            self.refill(missing)
            wanted = len(rollouts) + missing
        return rollouts, tags, rounds

    def _wait_for(self, partition: str, at_least: int) -> tuple[dict[str, Any], list[str]]:
        """Trajectory tags and the finished prompts that a step may choose from, in submission order."""
        return self._wait_for_all(partition, at_least)

    def _left(self, groups: Mapping[str, Sequence[float]], chosen: list[str]) -> set[str]:
        """Groups that stay for a later step. A synchronous step leaves none."""
        return set()

    def _ages(self, tags: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Metrics of the weights that sampled the batch. A synchronous step's are those of the step."""
        return {}

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


class StreamingSampler(BoundedSampler):
    """Takes groups as they finish, while other prompts are still sampled. For trainers whose rollouts flow on.

    A step waits for prompts that would span more than ``max_off_policy_threshold`` versions of the weights. No sample
    is thrown away for its age. Mixed groups beyond the batch stay for the next step.
    """

    def _wait_for(self, partition: str, at_least: int) -> tuple[dict[str, Any], list[str]]:
        while True:
            tags, prompts, done, _ = self.snapshot(partition)
            if len(done) >= at_least and not self._overdue(partition):
                return tags, [uid for uid in prompts if uid in done]
            self.wait()

    def _overdue(self, partition: str) -> bool:
        oldest = self.oldest_in_flight(partition)
        return oldest is not None and self.step - oldest + 1 >= self.max_off_policy_threshold

    def _left(self, groups: Mapping[str, Sequence[float]], chosen: list[str]) -> set[str]:
        spare = set(groups) - set(chosen)
        return {uid for uid in spare if not self.replace_uniform or len(set(groups[uid])) > 1}

    def _ages(self, tags: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Updates between the weights that began a response and those that the step trains."""
        spans = [(tag["min_global_steps"], tag["max_global_steps"]) for tag in tags]
        ages = [self.step - 1 - begun for begun, _ in spans]
        partial = fmean(begun != ended for begun, ended in spans)
        values = {"age_mean": fmean(ages), "age_max": max(ages), "partial": partial}
        return {FLOW.name.format(name): float(value) for name, value in values.items()}
