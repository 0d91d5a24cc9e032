"""Asynchronous against synchronous rollouts: which seconds a step has, and what is compared."""

import math

import pytest

from benchmarks.stages.flowing.figures import Step, compared, geometric, mean_interval, rate, steps_of
from benchmarks.stages.flowing.run import TAILS, parse_arguments
from judgerlvr.runs.metrics import FLOW, MEAN_TOKENS, REWARD, StepRow


def row_of(step, tokens):
    values = {MEAN_TOKENS.name: tokens, REWARD.name: 0.5, FLOW.name.format("age_mean"): 1.0, "timing_s/gen": 3.0}
    return StepRow(step=step, stage="generate", seconds=0.0, values=values)


def test_a_step_counts_from_its_turn_to_its_next_question():
    turns = [{"asked": 0.0, "granted": 10.0}, {"asked": 14.0, "granted": 20.0}, {"asked": 26.0, "granted": 30.0}]
    steps = steps_of([row_of(1, 100), row_of(2, 50)], turns, samples=2)
    assert [(one.seconds, one.tokens) for one in steps] == [(4.0, 200), (6.0, 100)]


def test_a_step_without_an_end_is_left_out():
    turns = [{"asked": 0.0, "granted": 1.0}, {"asked": 3.0, "granted": 4.0}]
    assert len(steps_of([row_of(1, 9), row_of(2, 9)], turns, samples=1)) == 1


def test_a_rate_weighs_steps_by_their_seconds():
    steps = [Step(1.0, 100.0, 0, 0, {}), Step(3.0, 100.0, 0, 0, {})]
    assert rate(steps) == 50


@pytest.mark.parametrize(("name", "tail"), [("long", 4.6), ("short", 1.5)])
def test_the_two_policies_have_the_tails_that_are_asked_for(name, tail):
    lengths = geometric(TAILS[name].mean, TAILS[name].limit)
    assert lengths.tail == pytest.approx(tail, rel=0.02)


def test_geometric_lengths_have_their_mean():
    assert geometric(300, 10**6).mean == pytest.approx(300, rel=0.01)


def test_the_ratio_is_of_tokens_a_second_behind_the_warm_up(monkeypatch, tmp_path):
    plan = type("Plan", (), {"gain": 1.9, "step": 8.0, "seconds": {}})
    lengths = geometric(300, 4096)
    monkeypatch.setattr("benchmarks.stages.flowing.figures.predicted", lambda options, name: (plan, lengths))
    slow = [Step(1.0, 1.0, 0.5, 0, {})] + [Step(10.0, 1000.0, 0.5, 0, {})] * 3
    fast = [Step(1.0, 9.0, 0.5, 0, {})] + [Step(5.0, 900.0, 0.5, 1, {})] * 3
    options = parse_arguments([str(tmp_path), "--warm-up", "1"])
    found = compared(options, "long", {"sync": slow, "colocate_async": fast})
    assert (found["rounds"], found["ratio"], found["predicted ratio"]) == (3, pytest.approx(1.8), 1.9)
    assert found["predicted over measured step"] == pytest.approx(0.8)
    assert math.isclose(found["ratio of rounds, mean and interval"][0], 1.8)


def test_an_interval_of_few_rounds_is_by_students_t():
    low, high = mean_interval([0.0, 1.0, 2.0, 3.0])
    assert (low, high) == (pytest.approx(1.5 - 2.0543, abs=1e-3), pytest.approx(1.5 + 2.0543, abs=1e-3))


def test_a_single_round_has_no_interval():
    assert mean_interval([1.0]) == (-math.inf, math.inf)
