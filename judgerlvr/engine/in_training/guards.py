"""Checks of a step's metrics that end a run, or warn, before the run wastes the cluster. Pure functions of numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean

from judgerlvr.config.choices import Action
from judgerlvr.config.guards import Guards
from judgerlvr.runs import metrics
from judgerlvr.runs.metrics import StepRow
from rewards.errors import CommandFailed
from rewards.wording import counted

# The run itself goes on with its own settings alone.
BEGIN_LOWER = "export the last sealed checkpoint, and start a new run from it with a lower learning rate"


class GuardTripped(CommandFailed):
    """A guard whose action is ``stop`` found its limit crossed."""


@dataclass
class GuardState:
    """Memory of the guards between steps. ``first`` holds the run's first steps, at most ``FIRST``."""

    zero_steps: int = 0
    first: list[StepRow] = field(default_factory=list)

    @classmethod
    def after(cls, rows: Iterable[StepRow]) -> GuardState:
        """The memory of a run that goes on behind ``rows``."""
        state = cls()
        for row in rows:
            if row.is_training:
                state.see(row)
        return state

    def see(self, row: StepRow) -> None:
        """Take a step into the memory."""
        self.zero_steps = self.zero_steps + 1 if row.get(metrics.ALL_ZERO) else 0
        if len(self.first) < FIRST:
            self.first.append(row)

    def start(self, metric: metrics.Metric) -> float | None:
        """A metric's mean over the run's first steps, None before there are enough steps."""
        return fmean(row[metric] for row in self.first) if len(self.first) == FIRST else None


# Steps of a run's start that drift is measured from.
FIRST = 5


# Each check returns the warning's text, or None while the guard holds. Comparisons are written so that NaN trips.
Check = Callable[[StepRow, float], str | None]


def _mismatch(row: StepRow, limit: float) -> str | None:
    value = row[metrics.MISMATCH]
    remedy = "rollout and trainer disagree: check dtype, attention and that weights were synced"
    return None if value <= limit else f"mean |p_rollout - p_trainer| {value:.3g} > {limit:g}; {remedy}"


def _constant_verdicts(row: StepRow, limit: float) -> str | None:
    share = row.get(metrics.ACCEPTED)
    if share is None or min(share, 1 - share) >= limit:
        return None
    return f"the judge accepts {share:.1%} of solutions; lower the learning rate or check the class balance"


def _truncation(row: StepRow, limit: float) -> str | None:
    share = row[metrics.TRUNCATED]
    return None if share <= limit else f"{share:.0%} of responses are truncated; raise max_response_tokens"


def _entropy_floor(row: StepRow, limit: float) -> str | None:
    value = row[metrics.ENTROPY]
    remedy = "exploration has collapsed; raise clip_high or stop earlier"
    return None if value >= limit else f"entropy {value:.3g} < {limit:g}: {remedy}"


def _entropy_ceiling(row: StepRow, limit: float) -> str | None:
    value = row[metrics.ENTROPY]
    remedy = "the policy drifts; lower clip_high or the learning rate"
    return None if value <= limit else f"entropy {value:.3g} > {limit:g}: {remedy}"


CHECKS: dict[str, Check] = {"constant_verdicts": _constant_verdicts, "truncation": _truncation}
# Checks of metrics that come with the trainer's old log-probabilities.
MEASURED: dict[str, Check] = {
    "mismatch": _mismatch,
    "entropy_floor": _entropy_floor,
    "entropy_ceiling": _entropy_ceiling,
}


def _length_drift(row: StepRow, limit: float, state: GuardState) -> str | None:
    value, start = row[metrics.MEAN_TOKENS], state.start(metrics.MEAN_TOKENS)
    if start is None or (start <= value * limit and value <= start * limit):
        return None
    remedy = "look at the responses, and check the length term"
    return (
        f"{value:.3g} tokens a response, {start:.3g} in the first {FIRST} steps, over a factor of {limit:g}; {remedy}"
    )


def _reward_drop(row: StepRow, limit: float, state: GuardState) -> str | None:
    value, start = row[metrics.REWARD], state.start(metrics.REWARD)
    if start is None or value >= limit * start:
        return None
    return f"mean reward {value:.3g} < {limit:g} of {start:.3g} in the first {FIRST} steps; {BEGIN_LOWER}"


def _zero_rewards(row: StepRow, limit: float, state: GuardState) -> str | None:
    # An absent metric must not disarm the guard.
    zero_steps = state.zero_steps if row[metrics.ALL_ZERO] else 0
    if zero_steps < limit:
        return None
    reasons = ", ".join(f"{reason} {count:.0f}" for reason, count in row.family(metrics.REASON).items())
    steps = counted(zero_steps, "step")
    return f"all rewards were zero for {steps} ({reasons}); check the answer format and the verifier"


DRIFTS: Mapping[str, Callable[[StepRow, float, GuardState], str | None]] = {
    "length_drift": _length_drift,
    "reward_drop": _reward_drop,
}


def check_finite(row: StepRow, measured: bool) -> None:
    """End a run whose loss or gradient is no number: every later step would train on nothing.

    Raises:
        GuardTripped: naming the metric and its value.
    """
    for metric in (metrics.LOSS, metrics.GRADIENT, *([metrics.MISMATCH] if measured else [])):
        value = row[metric]
        if not math.isfinite(value):
            raise GuardTripped(f"guard finite: {metric.name} is {value} at step {row.step}; {BEGIN_LOWER}")


def crossed(guards: Guards, row: StepRow, state: GuardState, measured: bool) -> dict[str, str]:
    """Guards whose limits a step's metrics have crossed, each with value and remedy.

    ``measured``: the trainer computed old log-probabilities in the step. Guards that need them rest in other steps.

    Raises:
        GuardTripped: a value is not finite, so the step's checkpoint must not be used.
        MetricMissing: a guarded metric is absent.
    """
    check_finite(row, measured)
    checks = CHECKS | (MEASURED if measured else {})
    found = {name: run(row, getattr(guards, name).limit) for name, run in checks.items()}
    # The first steps are compared with nothing.
    found |= {name: run(row, getattr(guards, name).limit, state) for name, run in DRIFTS.items()}
    state.see(row)
    found["zero_rewards"] = _zero_rewards(row, guards.zero_rewards.limit, state)
    return {name: text for name, text in found.items() if text}


def stop_or_warn(guards: Guards, found: Mapping[str, str]) -> list[str]:
    """Warnings of the crossed guards.

    Raises:
        GuardTripped: a crossed guard is set to ``stop``.
    """
    for name, text in found.items():
        if getattr(guards, name).action is Action.stop:
            raise GuardTripped(f"guard {name}: {text}")
    return [f"guard {name}: {text}" for name, text in found.items()]
