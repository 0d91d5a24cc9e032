"""Curves over tokens: a step or a run without a count of tokens is named, and never drawn in a wrong place."""

import math
import re

import pytest

from judgerlvr.reporting.arms import looks_of
from judgerlvr.reporting.curves import ACCURACY_AND_LENGTH, TOKENS, _lines, curve_groups, tokens_before
from judgerlvr.reporting.runs import Run
from judgerlvr.runs.manifest import Manifest, Parent
from judgerlvr.runs.metrics import StepRow
from tests.helpers.run_folders import step_row

COUNT = "budget/generated_tokens"
OVER_TOKENS = next(curve for curve in ACCURACY_AND_LENGTH if curve.axis == TOKENS)
BROKEN = [None, math.nan, math.inf, -math.inf, 1e300]


def row(step, tokens):
    made = step_row(step, "judge", more={COUNT: tokens})
    values = {name: value for name, value in made.values.items() if value is not None}
    return StepRow(step, "judge", made.seconds, values)


@pytest.fixture
def runs(tmp_path):
    """Runs judge and generate, the first with these counts of tokens at its steps."""

    def make(*tokens):
        judge = Run(tmp_path / "judge", Manifest("judge", "judge"), [row(n, t) for n, t in enumerate(tokens, start=1)])
        made = Manifest("generate", "generate", parent=Parent(run="judge"))
        return [judge, Run(tmp_path / "generate", made, [row(1, 50.0), row(2, 100.0)])]

    return make


def figure(runs):
    """What stands on the page for accuracy over tokens: a figure, or a note in the place of the figure."""
    parts = [part for group in curve_groups(runs, looks_of(runs)) for part in group.parts]
    return next(
        part for part in parts if getattr(part, "title", getattr(part, "text", "")).startswith(OVER_TOKENS.title)
    )


def places(runs):
    return [[x for x, _ in line.points] for line in _lines(runs, looks_of(runs), OVER_TOKENS)]


def test_counts_of_ancestors_stand_before(runs):
    assert places(runs(100.0, 200.0, 300.0)) == [[100, 200, 300], [350, 400]]


def test_a_figure_of_known_counts_leaves_nothing_out(runs):
    assert "Left out" not in figure(runs(100.0, 200.0, 300.0)).caption


@pytest.mark.parametrize("broken", BROKEN)
def test_a_step_without_a_count_is_left_out_by_name(runs, broken):
    found = runs(100.0, broken, 300.0)
    assert places(found) == [[100, 300], [350, 400]]
    assert "Left out are steps of judge without a finite count of tokens (steps: 1)." in figure(found).caption


@pytest.mark.parametrize("broken", BROKEN)
def test_a_run_behind_an_unknown_count_is_left_out_by_name(runs, broken):
    """The run would stand too far to the left, as if its judge had cost less."""
    found = runs(100.0, 200.0, broken)
    assert places(found) == [[100, 200], []]
    assert "Left out is generate, since the tokens of the runs before are not known." in figure(found).caption


def test_a_figure_without_any_place_is_a_sentence(runs):
    found = figure(runs(math.nan, math.nan))
    assert found.text.startswith("Accuracy over tokens: not drawn. Left out are steps of judge")


def test_a_judge_run_without_a_step_has_no_known_tokens(runs):
    found = runs()
    assert tokens_before(found[1], found) is None


@pytest.mark.parametrize("broken", BROKEN)
def test_values_of_a_drawn_figure_are_numbers(runs, broken):
    assert not re.search(r"\b(nan|inf)\b", figure(runs(100.0, broken, 300.0)).svg)
