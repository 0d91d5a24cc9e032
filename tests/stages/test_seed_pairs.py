"""Pairs of runs over seeds: the plan, and tables and outcomes of made-up seeds by hand."""

import dataclasses

import pytest
from scipy.stats import t

from benchmarks.stages.seed_pairs import page
from benchmarks.stages.seed_pairs.entropy_search import Point
from benchmarks.stages.seed_pairs.policies import Figures
from benchmarks.stages.seed_pairs.record import Seed, read_seeds, write_seeds
from benchmarks.stages.seed_pairs.sharpening import PLAN
from judgerlvr.experiments.demo import DEMO_PLAN
from judgerlvr.experiments.plan import Budget, read_plan

BASE = Figures(0.3, 66.0, 0.0, 0.3, 0.86, 43.0, 0.6)


def figures(accuracy, tokens):
    return dataclasses.replace(BASE, accuracy=accuracy, tokens=tokens, entropy=0.1, greedy=0.9)


def seed(number, judge, vanilla, penalty=(0.6, 50.0)):
    """A seed from (accuracy, tokens) of each arm. A penalty of None did not end."""
    known = {"base": BASE, "after judge": BASE, "JudgeRLVR": figures(*judge), "vanilla": figures(*vanilla)}
    known |= {"penalty": figures(*penalty)} if penalty else {}
    spent = {arm: {"steps": 22, "tokens": 400_000, "seconds": 1.0} for arm in known.keys() - {"base", "after judge"}}
    curves = {"base": [BASE.point, Point(0.5, 0.1, 0.55, 50.0)], "vanilla": [known["vanilla"].point]}
    return Seed(number, known, spent, curves)


SEEDS = [
    seed(4, (0.70, 60.0), (0.68, 66.0)),
    seed(5, (0.74, 55.0), (0.68, 70.0)),
    seed(6, (0.71, 65.0), (0.70, 60.0), None),
]


def test_the_plan_is_the_demo_over_seeds_that_no_demo_has_used():
    plan, demo = read_plan(PLAN), read_plan(DEMO_PLAN)
    assert (plan.config, plan.overrides) == (demo.config, demo.overrides)
    assert not set(plan.seeds) & {0, 1, 2, 3}
    assert plan.arms["JudgeRLVR"] == demo.arms["JudgeRLVR"]


@pytest.mark.parametrize("arm", ["vanilla", "penalty"])
def test_other_arms_have_as_many_steps(arm):
    plan = read_plan(PLAN)
    assert (plan.arms[arm].match, plan.arms[arm].by) == ("JudgeRLVR", Budget.steps)


def test_the_accuracy_difference_by_hand():
    """+2, +6 and +1 points: mean 3, standard deviation sqrt(7)."""
    found = page.found_of(SEEDS).accuracy
    reach = t.ppf(0.975, 2) * 7**0.5 / 3**0.5
    assert [100 * value for value in (found.value, found.low, found.high)] == pytest.approx(
        [3.0, 3.0 - reach, 3.0 + reach]
    )


def test_an_arm_that_did_not_end_is_left_out_of_its_comparison():
    rows = {line.split(" | ")[0].strip("| "): line for line in page.comparisons(SEEDS, page.ARMS)}
    assert rows["penalty less vanilla"].split(" | ")[1] == "2"
    assert rows["JudgeRLVR less vanilla"].split(" | ")[1] == "3"


def test_the_front_takes_seeds_whose_penalty_ended():
    (accuracy, tokens), penalty = page.front_of(SEEDS)
    assert (accuracy, tokens) == pytest.approx((0.68, 68.0))
    assert penalty == pytest.approx((0.6, 50.0))


def test_sharpening_compares_with_the_base_at_the_same_entropy():
    (pair,) = page.pairs_of(SEEDS[:1], *page.SHARPENING[1][1:])
    assert (pair.ours.accuracy, pair.theirs.accuracy) == pytest.approx((0.70, 0.55))


def test_a_seed_without_a_search_is_left_out():
    """The curve of seed 6 has temperature 1 alone, at three times the entropy."""
    without = dataclasses.replace(SEEDS[2], curves={"base": [BASE.point], "vanilla": [BASE.point]})
    assert [pair.seed for pair in page.pairs_of([*SEEDS[:2], without], *page.SHARPENING[1][1:])] == [4, 5]


def test_the_case_has_the_saving_with_its_bounds_in_order():
    case = page.measured_case(SEEDS)
    saving = case["shortening"]
    assert saving["low"] < saving["mean"] < saving["high"]
    assert saving["mean"] > 0


@pytest.mark.parametrize(
    ("gain", "tokens", "word"),
    [(0.05, 45.0, "win"), (-0.05, 45.0, "loss"), (0.001, 69.0, "tie"), (0.05, 69.0, "undecided")],
)
def test_outcomes_by_the_registered_margins(gain, tokens, word):
    """Four seeds that differ by little. At 69 tokens nothing is saved for certain."""
    rows = [
        seed(number, (0.65 + gain + wobble, tokens + 10 * wobble), (0.65, 69.0))
        for number, wobble in enumerate((0.002, -0.002, 0.004, -0.004))
    ]
    assert page.outcome(rows) == word


def test_a_record_is_read_as_it_was_written(tmp_path):
    write_seeds(SEEDS, tmp_path)
    assert read_seeds(tmp_path) == SEEDS
