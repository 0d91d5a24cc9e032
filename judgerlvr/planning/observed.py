"""Seconds, tokens and memory of a run's steps, from the metrics that verl wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from judgerlvr.planning.speed import Tokens
from judgerlvr.runs.metrics import PHASE_SECONDS, TRAINER_MEMORY, StepRow
from rewards.errors import CommandFailed

# The planner's phases by verl's names of parts of a step.
TIMERS = {
    "sampling": "gen",
    "log_prob": "old_log_prob",
    "update": "update_actor",
    "sync": "update_weights",
}
# The first step compiles, captures and fills caches.
WARM_UP = 1


@dataclass(frozen=True)
class Observed:
    """Means over ``steps`` steps; ``trainer_gib`` is the peak of torch's allocator in a trainer process, 0 on a CPU."""

    steps: int
    seconds: dict[str, float]
    tokens: Tokens
    trainer_gib: float


def observed(rows: Sequence[StepRow]) -> Observed:
    """What the training steps after the first took.

    Raises:
        CommandFailed: there are no such steps.
    """
    steps = [row for row in rows if row.is_training][WARM_UP:]
    if not steps:
        raise CommandFailed("no step after the first one was written, so nothing is measured")

    def mean(name: str) -> float:
        return fmean(row.values[name] for row in steps)

    return Observed(
        steps=len(steps),
        seconds={phase: mean(PHASE_SECONDS.name.format(timer)) for phase, timer in TIMERS.items()},
        tokens=Tokens(mean("prompt_length/mean"), mean("response_length/mean"), mean("response_length/max")),
        trainer_gib=max(row.values.get(TRAINER_MEMORY.name, 0.0) for row in steps),
    )
