"""Guards: each trips on its own condition, and only there."""

import pytest

from judgerlvr.config.choices import Action
from judgerlvr.config.schema import Guards
from judgerlvr.engine.in_training.guards import GuardState, GuardTripped
from judgerlvr.runs.metrics import MetricMissing, StepRow
from tests.helpers.guard_checks import check
from tests.helpers.run_folders import HEALTHY, step_row

SICK = {
    "mismatch": {"training/rollout_probs_diff_mean": 0.5},
    "constant_verdicts": {"judge/accepted": 0.001},
    "truncation": {"response/truncated": 0.9},
    "entropy_floor": {"actor/entropy": 0.001},
    "entropy_ceiling": {"actor/entropy": 9.0},
}


def test_healthy_metrics_pass():
    assert check(Guards(), step_row(), GuardState()) == []


@pytest.mark.parametrize("name", SICK)
def test_stop_names_the_guard(name):
    guards = Guards()
    getattr(guards, name).action = Action.stop
    with pytest.raises(GuardTripped, match=f"guard {name}"):
        check(guards, step_row(more=SICK[name]), GuardState())


@pytest.mark.parametrize("name", SICK)
def test_warn_goes_on(name):
    guards = Guards()
    getattr(guards, name).action = Action.warn
    (warning,) = check(guards, step_row(more=SICK[name]), GuardState())
    assert warning.startswith(f"guard {name}: ")


def test_constant_rejection_is_as_bad_as_constant_acceptance():
    with pytest.raises(GuardTripped):
        check(Guards(), step_row(more={"judge/accepted": 0.999}), GuardState())


def test_zero_rewards_count_only_in_a_row():
    state, zero = GuardState(), step_row(more={"response/all_zero": 1.0, "reason/wrong": 8})
    for row in (zero, zero, step_row(), zero, zero):
        check(Guards(), row, state)
    with pytest.raises(GuardTripped, match="wrong 8"):
        check(Guards(), zero, state)


@pytest.mark.parametrize("name", ["actor/grad_norm", "actor/pg_loss", "training/rollout_probs_diff_mean"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_no_number_ends_the_run(name, value):
    with pytest.raises(GuardTripped, match=f"guard finite: {name} is {value} at step 1"):
        check(Guards(), step_row(more={name: value}), GuardState())


@pytest.mark.parametrize("name", ["truncation", "entropy_floor", "entropy_ceiling"])
def test_nan_trips_a_guard(name):
    (metric,) = SICK[name]
    warnings = check(Guards(), step_row(more={metric: float("nan")}), GuardState())
    assert f"guard {name}" in [line.partition(":")[0] for line in warnings]


@pytest.mark.parametrize("name", sorted({metric for sick in SICK.values() for metric in sick} - {"judge/accepted"}))
def test_a_guarded_metric_that_is_absent_is_an_error(name):
    """A metric that verl renames must not disarm its guard."""
    without = StepRow(1, "judge", 0.0, {key: value for key, value in HEALTHY.items() if key != name})
    with pytest.raises(MetricMissing, match=name):
        check(Guards(), without, GuardState())
