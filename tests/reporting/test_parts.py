"""Plots, matching of arms, and paired differences."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judgerlvr.reporting import results
from judgerlvr.reporting.arms import Arm, cost_before, find_arms, part_of, seeds_of
from judgerlvr.reporting.html import Markup, text
from judgerlvr.reporting.results import equal_steps, equal_tokens
from judgerlvr.reporting.runs import Measured, Run
from judgerlvr.reporting.svg import Axis, Series, histogram, line_plot, short_number
from judgerlvr.runs.manifest import Manifest, Parent
from judgerlvr.runs.metrics import StepRow, merge_steps
from tests.helpers.run_folders import step_row


def run(folder, stage, steps, parent=None, labels=("final",), seed=0):
    rows = [step_row(step, stage, more={"budget/generated_tokens": 100.0 * step}) for step in range(1, steps + 1)]
    manifest = Manifest(name=folder.name, stage=stage, parent=Parent(run=parent), seed=seed)
    return Run(folder, manifest, rows, [Measured(label, {"results": []}, []) for label in labels])


@pytest.fixture
def three(tmp_path):
    return [
        run(tmp_path / "judge", "judge", 8, labels=("base", "final")),
        run(tmp_path / "generate", "generate", 16, parent="judge"),
        run(tmp_path / "vanilla", "generate", 30, labels=("final", "step_24")),
    ]


def test_parts_follow_from_stage_and_parent(three):
    assert [part_of(one, three) for one in three] == ["after judge", "JudgeRLVR", "vanilla"]


def test_a_generate_run_after_another_generate_run_keeps_its_name(three, tmp_path):
    more = run(tmp_path / "more", "generate", 4, parent="generate")
    assert part_of(more, [*three, more]) == "more"


def test_costs_add_up_over_ancestors(three):
    assert cost_before(three[1], three) == (8, 800)


def test_arms_are_ordered_and_intermediate_checkpoints_named(three):
    arms = [(arm.name, arm.steps, arm.tokens) for arm in find_arms(three)]
    assert arms == [
        ("base", 0, 0),
        ("after judge", 8, 800),
        ("JudgeRLVR", 24, 2400),
        ("vanilla", 30, 3000),
        ("vanilla @ step_24", 24, 2400),
    ]


def test_equal_steps_takes_the_checkpoint_on_the_way(three):
    assert [arm.name for arm in equal_steps(find_arms(three))] == ["JudgeRLVR", "vanilla @ step_24"]


def test_budgets_that_differ_are_not_called_equal():
    empty = Measured("final", {"results": []}, [])
    arms = [
        Arm(name, None, empty, steps, tokens)
        for name, steps, tokens in (("JudgeRLVR", 24, 1000), ("vanilla", 30, 1200))
    ]
    assert equal_steps(arms) is None
    assert equal_tokens(arms) is None


def test_seeds_are_counted_once(three, tmp_path):
    assert seeds_of([*three, run(tmp_path / "s1", "judge", 1, seed=1)]) == {0, 1}


def test_rows_of_a_step_are_merged_and_the_later_one_wins():
    given = [(2, {"a": 1}), (1, {"a": 0}), (2, {"b": 3}), (1, {"a": 5})]
    merged = merge_steps([StepRow(step, "judge", 0.0, values) for step, values in given])
    assert [(row.step, row.values) for row in merged] == [(1, {"a": 5}), (2, {"a": 1, "b": 3})]


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=20))
def test_every_point_of_a_plot_lies_inside_it(points):
    svg = line_plot([Series("s", [x for x, _ in points], [y for _, y in points], "#000")], "x", "y")
    spots = re.findall(r'points="([^"]+)"', svg)
    pairs = [pair.split(",") for spot in spots for pair in spot.split(" ")]
    assert all(0 <= float(x) <= 460 and 0 <= float(y) <= 260 for x, y in pairs)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_an_axis_has_a_readable_number_of_ticks(low, span):
    assert 1 <= len(Axis(low, low + span, 0, 100).ticks) <= 13


def test_histogram_shares_add_up_to_one():
    svg = histogram([("a", [1.0, 2.0, 3.0, 3.0], "#000")], "x", bins=3)
    assert svg.count("<polyline") == 1
    assert histogram([("a", [], "#000")], "x") == ""


def test_names_are_escaped_in_plots_and_markup_is_not_escaped_twice():
    svg = line_plot([Series("<b>&", [0, 1], [0, 1], "#000")], "<x>", "y")
    assert "<b>" not in svg and "<x>" not in svg
    assert text(Markup("<b>")) == "<b>" and text("<b>") == "&lt;b&gt;"


@pytest.mark.parametrize(("value", "shown"), [(0.1 + 0.2, "0.3"), (1.5e6, "1.5M"), (20000, "20k"), (0, "0")])
def test_short_numbers(value, shown):
    assert short_number(value) == shown


def test_paired_difference_is_over_shared_problems_only(monkeypatch):
    def sums(scores):
        return {problem: (score, 10.0 * (score + 1), 2.0) for problem, score in scores.items()}

    shown = {"JudgeRLVR": {"a": 2.0, "b": 1.0, "x": 0.0}, "vanilla": {"a": 1.0, "b": 1.0, "y": 2.0}}
    arms = [Arm(name, None, name, None, None) for name in shown]
    monkeypatch.setattr(results, "_sums", lambda arm: sums(shown[arm.name]))
    points, change = results._differences(*arms)
    assert points.startswith("+25.0 [")
    assert change.startswith(f"{(np.sum([30, 20]) / np.sum([20, 20]) - 1) * 100:+.1f} [")
