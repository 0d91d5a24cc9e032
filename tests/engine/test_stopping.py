"""Stop rules: tokens, hours, plateau, and what a resumed run remembers."""

from types import SimpleNamespace

import pytest

from judgerlvr.config.schema import Plateau, Stop
from judgerlvr.engine.in_training.stopping import StopRules
from judgerlvr.runs.metrics import HELDOUT_BALANCED, SOLVING_ACCURACY, StepRow


def validated(step, accuracy):
    return StepRow(step, "judge", 0.0, {HELDOUT_BALANCED.name: accuracy})


def test_no_budget_never_stops():
    assert StopRules(Stop()).reason_to_stop(10**12) is None


def test_token_budget_stops_at_the_limit():
    rules = StopRules(Stop(generated_tokens=100))
    assert rules.reason_to_stop(99) is None
    assert "100 tokens" in rules.reason_to_stop(100)


def test_hours_count_across_a_resume():
    rules = StopRules(Stop(hours=1.0))
    rules.restore(3601.0, rules.plateau_state())
    assert "h (stop.hours" in rules.reason_to_stop(0)


def test_plateau_stops_after_steps_without_gain():
    rules = StopRules(Stop(plateau=Plateau(steps=4, min_gain=0.01)))
    for step, accuracy in ((2, 0.6), (4, 0.7), (6, 0.705)):
        rules.observe(validated(step, accuracy))
        assert rules.reason_to_stop(0) is None
    rules.observe(validated(8, 0.706))
    assert "0.700 since step 4" in rules.reason_to_stop(0)


def test_plateau_survives_a_resume():
    first = StopRules(Stop(plateau=Plateau(steps=4)))
    first.observe(validated(1, 0.9))
    second = StopRules(Stop(plateau=Plateau(steps=4)))
    second.restore(0.0, first.plateau_state())
    second.observe(validated(5, 0.8))
    assert second.reason_to_stop(0) is not None


def solved(accuracy, step=0):
    return StepRow(step, "judge", 0.0, {SOLVING_ACCURACY.name: accuracy})


def solving_rules(gain, base, *accuracies):
    """Rules of a judge run whose starting policy solved ``base``, and which was validated once a step."""
    rules = StopRules(Stop(), gain)
    rules.observe_start(solved(base))
    for step, accuracy in enumerate(accuracies, start=1):
        rules.observe(solved(accuracy, step))
    return rules


# A gain in binary fractions that falls short by rounding: .35 - .25 < .1.
@pytest.mark.parametrize(
    ("base", "now", "gain"), [(0.25, 0.35, 0.1), (0.1, 0.4, 0.3), (0.0, 1.0, 1.0), (0.5, 0.75, 0.25)]
)
def test_a_gain_that_is_reached_exactly_stops(base, now, gain):
    assert solving_rules(gain, base, now).reason_to_stop(0) is not None


@pytest.mark.parametrize(("base", "now", "gain"), [(0.25, 0.3499, 0.1), (0.5, 0.4, 0.1), (0.25, 0.25, 1e-6)])
def test_a_gain_that_is_not_reached_does_not(base, now, gain):
    assert solving_rules(gain, base, now).reason_to_stop(0) is None


def test_the_reason_says_base_accuracy_and_gain():
    reason = solving_rules(0.1, 0.25, 0.3, 0.4).reason_to_stop(0)
    for part in ("0.250", "0.400", "judge.solving.stop_gain 0.1"):
        assert part in reason


def test_a_gain_that_is_lost_again_before_the_next_step_does_not_stop():
    assert solving_rules(0.1, 0.25, 0.4, 0.3).reason_to_stop(0) is None


def test_no_gain_is_asked_for_by_default():
    assert solving_rules(0.0, 0.0, 1.0).reason_to_stop(0) is None


def test_steps_without_validation_keep_the_last_accuracy():
    rules = solving_rules(0.1, 0.25, 0.4)
    rules.observe(StepRow(2, "judge", 0.0, {}))
    assert rules.reason_to_stop(0) is not None


def test_a_base_that_was_never_measured_does_not_stop():
    rules = StopRules(Stop(), 0.1)
    rules.observe(solved(1.0, 1))
    assert rules.reason_to_stop(0) is None


def test_an_accuracy_that_is_no_number_does_not_stop():
    assert solving_rules(0.1, 0.25, float("nan")).reason_to_stop(0) is None


def test_the_base_survives_a_resume():
    """Validation before the first step is off in a resumed run."""
    first = solving_rules(0.1, 0.25, 0.3)
    second = StopRules(Stop(), 0.1)
    second.restore(0.0, first.plateau_state(), first.solving_state())
    assert second.reason_to_stop(0) is None
    second.observe(solved(0.36, 2))
    assert "0.250 to 0.360" in second.reason_to_stop(0)


def test_a_reached_gain_survives_a_resume():
    """The uninterrupted run ends with its next step, and so does a run that was killed before that step."""
    first = solving_rules(0.1, 0.25, 0.4)
    second = StopRules(Stop(), 0.1)
    second.restore(0.0, first.plateau_state(), first.solving_state())
    assert second.reason_to_stop(0) == first.reason_to_stop(0) is not None


@pytest.mark.parametrize(
    ("base", "gain", "told"), [(0.9, 0.1, False), (0.95, 0.1, True), (0.95, 0.0, False), (0.7, 0.3, False)]
)
def test_a_gain_beyond_1_is_told(base, gain, told):
    assert bool(solving_rules(gain, base).out_of_reach()) is told


class Waited(Exception):
    """The wait has gone on for as long as the test wants to look."""


def waiting_trainer(tmp_path, monkeypatch, totals, hours=None):
    """A trainer ahead of another run that has sampled ``totals`` at each look."""
    from judgerlvr.engine.in_training import trainer
    from judgerlvr.runs.others_tokens import OthersTokens

    looks = iter([OthersTokens(total, False) for total in totals])
    monkeypatch.setattr(trainer, "tokens_of", lambda folders: next(looks))
    monkeypatch.setattr(trainer, "log_phase", lambda *_, **__: phases.append(1))
    clock, phases = iter(range(1, 99)), []
    monkeypatch.setattr(trainer.time, "monotonic", lambda: next(clock))
    stop = SimpleNamespace(tokens_of=["other"])
    rules = SimpleNamespace(reason_to_stop=lambda tokens: hours)
    stage = SimpleNamespace(run_dir=tmp_path, settings=SimpleNamespace(stop=stop))
    made = SimpleNamespace(stage=stage, rules=rules, global_steps=1, heartbeat=0, _asked=lambda: None)
    return made, phases


def test_only_tokens_of_the_others_are_a_sign_of_life(tmp_path, monkeypatch):
    from judgerlvr.engine.in_training import trainer

    made, phases = waiting_trainer(tmp_path, monkeypatch, [5, 5, 7, 7, 7])
    looks = iter(range(5))

    def sleep(_):
        if next(looks) == 4:
            raise Waited

    monkeypatch.setattr(trainer.time, "sleep", sleep)
    with pytest.raises(Waited):
        trainer.StageTrainer._others_spent(made, 100)
    # Once at the first look, once as the others moved; and a single line in the log.
    assert made.heartbeat == 2
    assert len(phases) == 1


def test_a_wait_for_others_ends_with_the_runs_own_limits(tmp_path, monkeypatch):
    from judgerlvr.engine.in_training import trainer

    made, _ = waiting_trainer(tmp_path, monkeypatch, [], hours="1 h")
    assert trainer.StageTrainer._others_spent(made, 100) is None
