"""The keys of the guards: what each guard does where a step crosses its limit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from judgerlvr.config.choices import Action
from judgerlvr.config.documented import doc
from judgerlvr.config.domains import NOT_NEGATIVE


@dataclass
class Guard:
    action: Action = doc(Action.stop, "stop | warn")
    limit: float = doc(0.0, "Threshold; see docs/training.md.", NOT_NEGATIVE)


def guard(action: Action, limit: float, text: str) -> Any:
    return field(default_factory=lambda: Guard(action, limit), metadata={"help": text})


@dataclass
class Guards:
    mismatch: Guard = guard(Action.stop, 0.2, "Mean |p_rollout - p_trainer| over a step's tokens above the limit.")
    start_minutes: Guard = guard(Action.stop, 60.0, "Minutes from the start to the first step's beginning.")
    hang_minutes: Guard = guard(Action.stop, 60.0, "Minutes without a finished step (a hung weight sync).")
    constant_verdicts: Guard = guard(Action.stop, 0.02, "Share of the rarer verdict in a judge step below the limit.")
    zero_rewards: Guard = guard(Action.stop, 3, "Steps in a row whose rewards are all zero reach the limit.")
    truncation: Guard = guard(Action.warn, 0.5, "Share of truncated responses above the limit.")
    entropy_floor: Guard = guard(Action.warn, 0.01, "Mean token entropy (nats) below the limit.")
    entropy_ceiling: Guard = guard(Action.warn, 5.0, "Mean token entropy (nats) above the limit.")
    length_drift: Guard = guard(Action.warn, 3.0, "Mean response over or under the run's first 5 steps by this factor.")
    reward_drop: Guard = guard(Action.warn, 0.5, "Mean reward below this share of the run's first 5 steps.")
