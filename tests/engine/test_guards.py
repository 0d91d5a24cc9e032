"""Guards: each trips on its own condition, and only there."""

import pytest

from judgerlvr.config.schema import Action, Guards
from judgerlvr.engine.in_training.guards import GuardState, GuardTripped, check

HEALTHY = {
    "training/rollout_probs_diff_mean": 1e-7,
    "judge/accepted": 0.5,
    "sampled/truncated": 0.0,
    "actor/entropy": 0.5,
    "sampled/all_zero": 0.0,
}
SICK = {
    "mismatch": {"training/rollout_probs_diff_mean": 0.5},
    "constant_verdicts": {"judge/accepted": 0.001},
    "truncation": {"sampled/truncated": 0.9},
    "entropy_floor": {"actor/entropy": 0.001},
    "entropy_ceiling": {"actor/entropy": 9.0},
}


def test_healthy_metrics_pass():
    assert check(Guards(), HEALTHY, GuardState()) == []


@pytest.mark.parametrize("name", SICK)
def test_stop_names_the_guard(name):
    guards = Guards()
    getattr(guards, name).action = Action.stop
    with pytest.raises(GuardTripped, match=f"guard {name}"):
        check(guards, HEALTHY | SICK[name], GuardState())


@pytest.mark.parametrize("name", SICK)
def test_warn_goes_on(name):
    guards = Guards()
    getattr(guards, name).action = Action.warn
    (warning,) = check(guards, HEALTHY | SICK[name], GuardState())
    assert warning.startswith(f"guard {name}: ")


def test_constant_rejection_is_as_bad_as_constant_acceptance():
    with pytest.raises(GuardTripped):
        check(Guards(), HEALTHY | {"judge/accepted": 0.999}, GuardState())


def test_zero_rewards_count_only_in_a_row():
    state, zero = GuardState(), HEALTHY | {"sampled/all_zero": 1.0, "reason/wrong": 8}
    for metrics in (zero, zero, HEALTHY, zero, zero):
        check(Guards(), metrics, state)
    with pytest.raises(GuardTripped, match="wrong 8"):
        check(Guards(), zero, state)
