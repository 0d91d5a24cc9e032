"""The end of a stage as far as it can be foreseen: steps and minutes left by the rule that ends the stage first."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from statistics import median

from judgerlvr.config.schema import Stop

# Steps whose pace is taken for the pace of the steps to come.
RECENT = 5


@dataclass(frozen=True)
class End:
    """``steps`` left until ``rule`` ends the stage. ``flat`` steps are left if judging does not improve any more."""

    steps: int
    rule: str
    flat: int | None = None


@dataclass
class Pace:
    """Seconds and sampled tokens of the recent steps. The first step of a process is slow, and its pace goes first."""

    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    tokens: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    def add(self, seconds: float, tokens: float) -> None:
        self.seconds.append(seconds)
        self.tokens.append(tokens)

    @property
    def step_seconds(self) -> float:
        return median(self.seconds)

    @property
    def step_tokens(self) -> float:
        return median(self.tokens)


def foresee(stop: Stop, step: int, tokens: float, seconds: float, since_best: int, pace: Pace) -> End:
    """What ends a stage that has made ``step`` steps, sampled ``tokens`` and run for ``seconds``.

    A budget is looked at after sampling, so the step that crosses a budget is finished.
    ``since_best`` counts steps since the best held-out balanced accuracy.
    """
    left = {"steps": float(stop.steps - step)}
    if stop.generated_tokens and pace.step_tokens:
        left["tokens"] = (stop.generated_tokens - tokens) / pace.step_tokens
    if stop.hours and pace.step_seconds:
        left["hours"] = (3600 * stop.hours - seconds) / pace.step_seconds
    steps = {rule: max(0, math.ceil(value)) for rule, value in left.items()}
    rule = min(steps, key=lambda name: steps[name])
    flat = max(1, stop.plateau.steps - since_best) if stop.plateau.steps else None
    return End(steps[rule], rule, flat if flat is not None and flat < steps[rule] else None)


def shown(end: End, pace: Pace) -> str:
    """``ETA 3.5 min``, and the earlier end of a plateau where one may come."""
    flat = "" if end.flat is None else f" ({end.flat * pace.step_seconds / 60:.1f} if flat)"
    return f"ETA {end.steps * pace.step_seconds / 60:.1f} min{flat}"
