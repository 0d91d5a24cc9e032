"""Holm's correction over the cases of the file, and the outcomes of the lab's page beside those of the cases."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.lab import statistics as lab
from judgerlvr.config.load import ROOT
from judgerlvr.diagnosis.cases import DECIDED, Bounds, Case, Outcome, corrected, read_cases
from judgerlvr.evaluation.permutation import holm

LOSS = Case("c", "f", "r", "made up", 8, {}, Bounds(-0.1, -0.19, -0.01), Bounds(0.0, -0.1, 0.1), 50.0, 60.0)
STRONG = replace(LOSS, accuracy=Bounds(-0.1, -0.101, -0.099))


def naive_holm(p_values):
    """By the definition: the largest of (m - i + 1) p_(i) over the values that are not above the value."""
    ordered = sorted(p_values)
    return [
        max(min(1.0, (len(ordered) - i) * p) for i, p in enumerate(ordered[: ordered.index(one) + 1]))
        for one in p_values
    ]


@pytest.mark.parametrize("seed", range(10))
def test_holm_is_the_naive_one(seed):
    p_values = list(np.random.default_rng(seed).uniform(0, 0.2, size=seed + 1))
    assert holm(p_values) == pytest.approx(naive_holm(p_values))


@pytest.mark.parametrize("pairs", [1, 2, 4, 8])
def test_p_values_from_bounds_are_those_of_the_pairs(pairs):
    """The lab has the pairs themselves. The bounds alone give the same p values."""
    draws = np.random.default_rng(pairs).normal(0.05, 0.1, size=pairs)
    found = lab.estimate(list(draws))
    bounds = Bounds(found.mean, found.low, found.high)
    assert bounds.p_above(pairs) == pytest.approx(min(1.0, 2 * found.p_above))
    assert bounds.mirrored.p_above(pairs) == pytest.approx(min(1.0, 2 * found.p_below))


def test_a_loss_by_itself_may_not_outlive_the_correction():
    found = corrected([LOSS, LOSS])
    assert LOSS.outcome is Outcome.LOSS
    assert {one.outcome for one in found} == {Outcome.UNDECIDED}
    assert "not after Holm's correction" in found[0].open_because


def test_a_strong_loss_outlives_the_correction():
    assert [one.outcome for one in corrected([STRONG, LOSS])] == [Outcome.LOSS, Outcome.LOSS]


@pytest.mark.parametrize("other", [replace(LOSS, pairs=1), replace(LOSS, failed_checks=("entropy",))])
def test_cases_that_can_claim_nothing_cost_the_others_nothing(other):
    assert corrected([LOSS, other])[0].outcome is Outcome.LOSS


def test_wins_and_losses_are_corrected_as_the_lab_corrects_them():
    cases = [one for one in read_cases() if one.may_claim]
    assert [one.corrected.loss for one in cases] == pytest.approx(lab.holm([one.alone.loss for one in cases]))
    assert [one.corrected.win for one in cases] == pytest.approx(lab.holm([one.alone.win for one in cases]))


def outcomes_of_the_page():
    """By the name of a case: the outcome that the table of all comparisons has. A word that is none is undecided."""
    text = (ROOT / "docs" / "when-it-pays.md").read_text().partition("## All comparisons")[2]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| 20")]
    named = {f"{cell} {arm}, {record}": outcome for record, cell, arm, *_, outcome, _ in rows}
    return {name: outcome if outcome in list(DECIDED) else "undecided" for name, outcome in named.items()}


@pytest.mark.parametrize("one", [c for c in read_cases() if c.name in outcomes_of_the_page()], ids=lambda c: c.name)
def test_a_case_has_the_outcome_of_the_page(one):
    assert str(one.outcome) == outcomes_of_the_page()[one.name]


def test_every_case_of_the_lab_stands_on_the_page():
    ours = {one.name for one in read_cases() if one.record.startswith("benchmarks/lab/")}
    assert ours - set(outcomes_of_the_page()) == set()
