"""The sign-flip test against a naive loop over all sign patterns, and Holm's correction."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgerlvr.evaluation import permutation

EIGHTHS = st.integers(-8, 8).map(lambda eighths: eighths / 8)


def naive_p(differences):
    """Share of all sign patterns of all differences with a sum at least as far from 0."""
    observed = abs(sum(differences))
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((1, -1), repeat=len(differences))
    ]
    return sum(value >= observed - 1e-9 for value in sums) / len(sums)


@settings(deadline=None, max_examples=40)
@given(st.lists(EIGHTHS, min_size=1, max_size=9), st.booleans())
def test_p_is_the_share_of_all_sign_patterns(differences, on_lattice):
    found = permutation.permutation_test(np.array(differences), unit=1 / 8 if on_lattice else None)
    assert found.exact
    assert found.p == pytest.approx(naive_p(differences), abs=1e-12)


def test_fifteen_problems_are_enumerated():
    differences = np.random.default_rng(0).normal(0.3, 1, 15)
    signs = np.array(list(product((1.0, -1.0), repeat=15)))
    expected = np.mean(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9)
    found = permutation.permutation_test(differences)
    assert (found.exact, found.p) == (True, expected)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 8), min_size=1, max_size=12), st.integers(0, 60))
def test_sum_on_a_lattice_equals_enumeration(steps, observed):
    signs = np.array(list(product((1, -1), repeat=len(steps))))
    expected = np.mean(np.abs(signs @ np.array(steps)) >= observed)
    assert permutation.lattice_p(np.array(steps), observed) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("problems", [30, 400])
def test_many_problems_are_exact_on_a_lattice_and_drawn_without(problems):
    differences = np.random.default_rng(1).integers(-8, 9, problems) / 8 + 1 / 8
    exact = permutation.permutation_test(differences, unit=1 / 8)
    drawn = permutation.permutation_test(differences)
    assert (exact.exact, drawn.exact) == (True, False)
    error = math.sqrt(exact.p * (1 - exact.p) / permutation.DRAWS)
    assert drawn.p == pytest.approx(exact.p, abs=5 * error + 2 / permutation.DRAWS)


def test_a_lattice_too_large_is_drawn():
    differences = np.full(400, 1.0)
    assert not permutation.permutation_test(differences, unit=1e-4).exact


def test_arms_that_never_differ_have_p_1():
    assert permutation.permutation_test(np.zeros(50)) == permutation.PermutationTest(1.0, True)


def test_no_problem_has_no_p():
    assert math.isnan(permutation.permutation_test(np.array([])).p)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=6))
def test_holm_is_the_least_level_at_which_the_steps_reject(p_values):
    """Naive twin: step down through the sorted p-values and stop at the first that is not rejected."""
    adjusted = permutation.holm(p_values)
    for level in {*adjusted, 0.05, 0.5}:
        order = sorted(range(len(p_values)), key=lambda place: p_values[place])
        rejected = set()
        for rank, place in enumerate(order):
            if min(1.0, p_values[place] * (len(order) - rank)) > level:
                break
            rejected.add(place)
        assert {place for place, value in enumerate(adjusted) if value <= level} == rejected


def test_holm_leaves_out_what_has_no_p():
    found = permutation.holm([0.01, math.nan, 0.04])
    assert found[0] == 0.02 and math.isnan(found[1]) and found[2] == 0.04
