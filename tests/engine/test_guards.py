"""Guards: each trips on its own condition, and only there."""

import pytest

from judgerlvr.config.choices import Action
from judgerlvr.config.guards import Guard, Guards
from judgerlvr.engine.in_training.guards import FIRST, GuardState, GuardTripped
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


MEASURED = ("mismatch", "entropy_floor", "entropy_ceiling")


@pytest.mark.parametrize("name", sorted({*SICK} - {*MEASURED}))
def test_a_step_without_old_log_probabilities_keeps_other_guards(name):
    row = step_row(more=SICK[name])
    for metric in ("actor/entropy", "training/rollout_probs_diff_mean"):
        del row.values[metric]
    warned = check(Guards(**{name: Guard(Action.warn, getattr(Guards(), name).limit)}), row, GuardState(), False)
    assert [line.partition(":")[0] for line in warned] == [f"guard {name}"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_step_without_old_log_probabilities_needs_a_finite_gradient(value):
    row = step_row(more={"actor/grad_norm": value})
    with pytest.raises(GuardTripped, match="guard finite"):
        check(Guards(), row, GuardState(), measured=False)


def steps(count, **more):
    return [step_row(step, more=more) for step in range(1, count + 1)]


@pytest.mark.parametrize(
    ("metric", "value", "name"),
    [
        ("response/mean_tokens", 151.0, "length_drift"),
        ("response/mean_tokens", 16.0, "length_drift"),
        ("critic/score/mean", 0.24, "reward_drop"),
    ],
)
def test_drift_is_measured_from_the_first_steps(metric, value, name):
    drifted = step_row(99, more={metric: value})
    (warning,) = check(Guards(), drifted, GuardState.after(steps(FIRST + 20)))
    assert warning.startswith(f"guard {name}: ")
    assert check(Guards(), drifted, GuardState.after(steps(FIRST - 1))) == []


def test_slow_drift_is_seen_too():
    """Each step is near the step before, and far from the start."""
    state, warned = GuardState(), []
    for step in range(1, 40):
        warned += check(Guards(), step_row(step, more={"response/mean_tokens": 50 * 1.05**step}), state)
    assert warned[0].startswith("guard length_drift: ")


def test_a_run_that_goes_on_remembers_its_steps():
    zero = {"response/all_zero": 1.0}
    went_on, unbroken = GuardState.after([*steps(FIRST), *steps(2, **zero)]), GuardState()
    for row in (*steps(FIRST), *steps(2, **zero)):
        check(Guards(), row, unbroken)
    assert went_on == unbroken and went_on.zero_steps == 2
