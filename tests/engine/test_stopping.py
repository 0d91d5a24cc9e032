"""Stop rules: tokens, hours, plateau, and what a resumed run remembers."""

from judgerlvr.config.schema import Plateau, Stop
from judgerlvr.engine.in_training.stopping import BALANCED, StopRules


def test_no_budget_never_stops():
    assert StopRules(Stop()).spent(10**12) is None


def test_token_budget_stops_at_the_limit():
    rules = StopRules(Stop(generated_tokens=100))
    assert rules.spent(99) is None
    assert "100 tokens" in rules.spent(100)


def test_hours_count_across_a_resume():
    rules = StopRules(Stop(hours=1.0))
    rules.restore(3601.0, rules.plateau_state())
    assert "h (stop.hours" in rules.spent(0)


def test_plateau_stops_after_steps_without_gain():
    rules = StopRules(Stop(plateau=Plateau(steps=4, min_gain=0.01)))
    for step, accuracy in ((2, 0.6), (4, 0.7), (6, 0.705)):
        rules.saw(step, {BALANCED: accuracy})
        assert rules.spent(0) is None
    rules.saw(8, {BALANCED: 0.706})
    assert "0.700 since step 4" in rules.spent(0)


def test_plateau_survives_a_resume():
    first = StopRules(Stop(plateau=Plateau(steps=4)))
    first.saw(1, {BALANCED: 0.9})
    second = StopRules(Stop(plateau=Plateau(steps=4)))
    second.restore(0.0, first.plateau_state())
    second.saw(5, {BALANCED: 0.8})
    assert second.spent(0) is not None
