"""Stop rules: tokens, hours, plateau, and what a resumed run remembers."""

from judgerlvr.config.schema import Plateau, Stop
from judgerlvr.engine.in_training.stopping import StopRules
from judgerlvr.runs.metrics import HELDOUT_BALANCED, StepRow


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
