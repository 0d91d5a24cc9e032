"""The canary in training: gold answers graded against themselves at start and every N steps."""

from __future__ import annotations

from typing import Any, cast

from data.row_files import read_rows
from judgerlvr.engine.in_training.guards import GuardTripped
from judgerlvr.runs.stage import Stage
from rewards.canary import canary
from rewards.extraction.extract import Mode
from rewards.grading.settings import GradingSettings
from rewards.types import Problem

GOLDS = 16


class Canary:
    """Grades in a separate pool, beside the reward workers. Judge stages have no gold to grade."""

    def __init__(self, stage: Stage) -> None:
        self.every = stage.config.reward.canary_every if stage.kind == "generate" else 0
        self.settings = stage.reward_kwargs
        self.golds = [_problem(row) for row in read_rows(stage.train)[:GOLDS]] if self.every else []

    def check(self, step: int) -> None:
        """Raise GuardTripped when a gold answer is not graded as correct at a step that is due."""
        if not self.every or step % self.every:
            return
        settings = self.settings
        grading = GradingSettings(
            settings["verifier"], cast(Mode, settings["extraction"]), 1, settings["thinking_open"]
        )
        with grading.open_pool() as pool:
            failures = canary(pool, self.golds)
        if failures:
            raise GuardTripped(f"guard canary at step {step}: {'; '.join(failures[:3])}")


def _problem(row: dict[str, Any]) -> Problem:
    extra, gold = row["extra_info"], row["reward_model"]["ground_truth"]
    return Problem(str(extra["id"]), str(extra["problem"]), None if gold is None else str(gold), extra)
