"""Intervals over problems: textbook cases, and coverage by simulation with fixed seeds."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.interval_coverage import Cell, measure
from judgerlvr.evaluation.intervals import Shares, difference_interval, share_interval

DRAWS = 300
SPREADS = (0.67, 0.09)


def shares(values, samples=8):
    return Shares(np.array(values, dtype=float), np.full(len(values), float(samples)))


def textbook_wilson(right, count, z=1.959963985):
    """The two roots p of (right / count - p)^2 = z^2 p (1 - p) / count."""
    a, b, c = 1 + z * z / count, -(2 * right / count + z * z / count), (right / count) ** 2
    root = math.sqrt(max(b * b - 4 * a * c, 0))
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


@given(st.integers(1, 40), st.data())
@settings(deadline=None)
def test_one_sample_a_problem_is_the_textbook_interval(count, data):
    right = data.draw(st.integers(0, count))
    found = share_interval(shares([1.0] * right + [0.0] * (count - right), samples=1))
    assert (found.low, found.high) == pytest.approx(textbook_wilson(right, count), abs=1e-8)


@pytest.mark.parametrize("count", [1, 15, 200])
@pytest.mark.parametrize("samples", [1, 8, 64])
def test_all_right_is_as_sure_as_one_sample_a_problem(count, samples):
    found = share_interval(shares([1.0] * count, samples))
    assert (found.low, found.high) == pytest.approx(textbook_wilson(count, count), abs=1e-8)


@pytest.mark.parametrize("count", [15, 200])
def test_samples_that_agree_count_once_and_samples_that_do_not_count_all(count):
    agree = share_interval(shares([1.0, 0.0, 1.0] * (count // 3)))
    apart = share_interval(shares([0.5] * count))
    once, all_of_them = textbook_wilson(2 * (count // 3), 3 * (count // 3)), textbook_wilson(4 * count, 8 * count)
    assert (agree.low, agree.high) == pytest.approx(once, abs=1e-6)
    wider = (apart.high - apart.low) / (all_of_them[1] - all_of_them[0])
    assert 1 <= wider < (1.3 if count == 15 else 1.03)


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=30))
@settings(deadline=None)
def test_any_interval_holds_its_value_within_bounds(rows):
    ours, theirs = shares([a / 8 for a, _ in rows]), shares([b / 8 for _, b in rows])
    one, pair = share_interval(ours), difference_interval(ours, theirs)
    assert 0 <= one.low <= one.value <= one.high <= 1
    assert -1 <= pair.low <= pair.value <= pair.high <= 1


def test_uneven_numbers_of_samples_count_by_their_harmonic_mean():
    uneven = Shares(np.full(40, 0.5), np.array([1.0, 7.0] * 20))
    even = Shares(np.full(40, 0.5), np.full(40, 1.75))
    assert share_interval(uneven) == share_interval(even)


def test_shared_difficulty_narrows_a_difference():
    values = np.linspace(0, 1, 30)
    together = difference_interval(shares(values), shares(values))
    opposed = difference_interval(shares(values), shares(values[::-1]))
    assert together.high - together.low < 0.3 * (opposed.high - opposed.low)


def test_arms_of_other_problems_are_refused():
    with pytest.raises(ValueError, match="2 problems against 3"):
        difference_interval(shares([1, 1]), shares([1, 1, 1]))


@pytest.mark.parametrize("problems", [15, 30, 200])
def test_coverage_of_an_accuracy(problems):
    cells = [Cell(problems, accuracy, spread) for accuracy in (0.5, 0.9, 0.97, 1.0) for spread in SPREADS]
    found = [measure(cell, DRAWS, samples=8, seed=0, bootstrapped=0).coverage for cell in cells]
    error = math.sqrt(0.92 * 0.08 / DRAWS)
    assert min(found) >= 0.92 - 2 * error
    assert 0.94 <= np.mean(found) <= 0.985


@pytest.mark.parametrize("problems", [15, 200])
def test_coverage_of_a_paired_difference(problems):
    cells = [
        Cell(problems, accuracy, spread, gap, coupled=0.9)
        for accuracy in (0.5, 0.97)
        for spread in SPREADS
        for gap in (0.0, 0.1)
    ]
    found = [measure(cell, DRAWS, samples=8, seed=0, bootstrapped=0).coverage for cell in cells]
    assert min(found) >= 0.92 - 2 * math.sqrt(0.92 * 0.08 / DRAWS)


@pytest.mark.parametrize("samples", [2, 32])
def test_width_stays_near_that_of_the_bootstrap(samples):
    found = [measure(Cell(200, accuracy, 0.67), 20, samples, seed=0, bootstrapped=20) for accuracy in (0.5, 0.9, 0.97)]
    assert sum(row.width for row in found) <= 1.35 * sum(row.bootstrap for row in found)
