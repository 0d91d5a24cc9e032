"""Seconds, tokens and memory of a run's steps, from the metrics that verl wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from judgerlvr.planning.speed import Tokens
from judgerlvr.runs.metrics import StepRow
from rewards.errors import CommandFailed

# The planner's phases by verl's timers.
TIMERS = {
    "sampling": "timing_s/gen",
    "log_prob": "timing_s/old_log_prob",
    "update": "timing_s/update_actor",
    "sync": "timing_s/update_weights",
}
TRAINER_GIB = "actor/perf/max_memory_allocated_gb"
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
        seconds={phase: mean(timer) for phase, timer in TIMERS.items()},
        tokens=Tokens(mean("prompt_length/mean"), mean("response_length/mean"), mean("response_length/max")),
        trainer_gib=max(row.values.get(TRAINER_GIB, 0.0) for row in steps),
    )
