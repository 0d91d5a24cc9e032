"""What finished runs have spent, and the limits that give another arm the same budget."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from judgerlvr.experiments.plan import Budget
from judgerlvr.runs.checkpoints import complete, read_seal, step_of
from judgerlvr.runs.metrics import METRICS, merge_steps, read_metrics, training_seconds


@dataclass(frozen=True)
class Spent:
    """Training steps, generated tokens (candidates included) and seconds of one or more runs."""

    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.steps + other.steps, self.tokens + other.tokens, self.seconds + other.seconds)

    def __sub__(self, other: Spent) -> Spent:
        return Spent(self.steps - other.steps, self.tokens - other.tokens, self.seconds - other.seconds)


NOTHING = Spent()


def spent_by(run: Path) -> Spent:
    """The record of a finished run in its folder."""
    last = complete(run / "checkpoints")[-1]
    rows = [row for row in merge_steps(read_metrics(run / METRICS)) if row.is_training]
    return Spent(step_of(last), int(read_seal(last)["generated_tokens"]), training_seconds(rows))


def total(runs: Iterable[Path]) -> Spent:
    return sum(map(spent_by, runs), NOTHING)


def limits(equal_steps: int, most_steps: float, by: Budget, rule: str) -> list[str]:
    """Overrides of a generate stage that ends at another arm's budget, by ``rule`` unless by steps.

    ``equal_steps`` is the step at which the arm has trained as often as the matched arm. A checkpoint is kept there.
    """
    steps = equal_steps if by is Budget.steps else math.ceil(most_steps * equal_steps)
    # All checkpoints are kept, so that the checkpoint at equal steps outlives the run's end.
    words = [f"generate.stop.steps={steps}", f"generate.checkpoint.every={equal_steps}", "generate.checkpoint.keep=0"]
    return words if by is Budget.steps else [*words, rule]
