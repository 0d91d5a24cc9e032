"""Checks of a step's metrics that end a run, or warn, before it wastes the cluster. Pure functions of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from judgerlvr.config.schema import Action, Guards


class GuardTripped(Exception):
    """A guard whose action is ``stop`` found its limit crossed."""


@dataclass
class GuardState:
    """What guards remember between steps."""

    zero_steps: int = 0
    warned: set[str] = field(default_factory=set)


def _mismatch(m: Mapping[str, float], limit: float) -> str | None:
    value = m.get("training/rollout_probs_diff_mean", 0.0)
    remedy = "rollout and trainer disagree: check dtype, attention and that weights were synced"
    return f"mean |p_rollout - p_trainer| {value:.3g} > {limit:g}; {remedy}" if value > limit else None


def _constant_verdicts(m: Mapping[str, float], limit: float) -> str | None:
    share = m.get("judge/accepted")
    if share is None or min(share, 1 - share) >= limit:
        return None
    return f"the judge accepts {share:.1%} of solutions; lower the learning rate or check the class balance"


def _truncation(m: Mapping[str, float], limit: float) -> str | None:
    share = m.get("sampled/truncated", 0.0)
    return f"{share:.0%} of responses are truncated; raise max_response_tokens" if share > limit else None


def _entropy_floor(m: Mapping[str, float], limit: float) -> str | None:
    value = m.get("actor/entropy")
    low = value is not None and value < limit
    return (
        f"entropy {value:.3g} < {limit:g}: exploration has collapsed; raise clip_high or stop earlier" if low else None
    )


def _entropy_ceiling(m: Mapping[str, float], limit: float) -> str | None:
    value = m.get("actor/entropy")
    high = value is not None and value > limit
    return f"entropy {value:.3g} > {limit:g}: the policy drifts; lower clip_high or the learning rate" if high else None


def _zero_rewards(m: Mapping[str, float], limit: float, state: GuardState) -> str | None:
    state.zero_steps = state.zero_steps + 1 if m.get("sampled/all_zero") else 0
    if state.zero_steps < limit:
        return None
    reasons = ", ".join(f"{key[7:]} {value:.0f}" for key, value in m.items() if key.startswith("reason/"))
    return f"all rewards were zero for {state.zero_steps} steps ({reasons}); check the answer format and the verifier"


def check(guards: Guards, metrics: Mapping[str, float], state: GuardState) -> list[str]:
    """Warnings of this step's metrics.

    Raises:
        GuardTripped: a limit of a guard set to ``stop`` was crossed; the message names guard, value and remedy.
    """
    found = {
        "mismatch": _mismatch(metrics, guards.mismatch.limit),
        "constant_verdicts": _constant_verdicts(metrics, guards.constant_verdicts.limit),
        "zero_rewards": _zero_rewards(metrics, guards.zero_rewards.limit, state),
        "truncation": _truncation(metrics, guards.truncation.limit),
        "entropy_floor": _entropy_floor(metrics, guards.entropy_floor.limit),
        "entropy_ceiling": _entropy_ceiling(metrics, guards.entropy_ceiling.limit),
    }
    problems = {name: text for name, text in found.items() if text}
    for name, text in problems.items():
        if getattr(guards, name).action is Action.stop:
            raise GuardTripped(f"guard {name}: {text}")
    return [f"guard {name}: {text}" for name, text in problems.items()]
