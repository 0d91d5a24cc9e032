"""Two arms paired by problem."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgerlvr.evaluation.comparison import paired, select
from tests.helpers.records import record, samples

BITS = st.text("01", min_size=1, max_size=4)


def test_difference_flips_and_left_out_items():
    ours = samples("a", "11") + samples("b", "10") + samples("c", "00") + samples("only ours", "1")
    theirs = samples("a", "00") + samples("b", "10") + samples("c", "11") + samples("d", "1") + samples("e", "1")
    found = paired(ours, theirs)
    assert (found.problems, found.gained, found.lost, found.left_out) == (3, ("a",), ("c",), (1, 2))
    assert (found.difference.value, found.test.p) == (0.0, 1.0)


@settings(deadline=None, max_examples=30)
@given(st.dictionaries(st.sampled_from("abcdef"), st.tuples(BITS, BITS), min_size=1))
def test_difference_is_the_mean_of_the_problems_differences(problems):
    ours = [r for name, (bits, _) in problems.items() for r in samples(name, bits)]
    theirs = [r for name, (_, bits) in problems.items() for r in samples(name, bits)]
    expected = np.mean([np.mean(list(map(int, a))) - np.mean(list(map(int, b))) for a, b in problems.values()])
    found = paired(ours, theirs)
    assert found.difference.value == pytest.approx(expected)
    assert found.difference.low <= found.difference.value <= found.difference.high


def test_the_other_order_has_the_opposite_difference():
    ours, theirs = samples("a", "110") + samples("b", "100"), samples("a", "100") + samples("b", "101")
    there, back = paired(ours, theirs), paired(theirs, ours)
    assert (there.difference.low, there.difference.high) == pytest.approx((-back.difference.high, -back.difference.low))


def test_lengths_are_those_of_right_responses_where_both_arms_solve():
    ours = samples("a", "1", tokens=10) + samples("a", "0", tokens=999) + samples("b", "1", tokens=20)
    theirs = samples("a", "1", tokens=20) + samples("b", "1", tokens=40) + samples("c", "1", tokens=1)
    ours += samples("c", "0", tokens=500)
    found = paired(ours, theirs).both_solved
    assert found is not None
    assert (found.problems, found.ours.value, found.theirs.value) == (2, 15.0, 30.0)
    assert (found.ratio.value, found.ratio.low, found.ratio.high) == pytest.approx((0.5, 0.5, 0.5))


def test_change_of_mean_tokens_weighs_problems_alike():
    ours = samples("a", "11", tokens=10) + samples("b", "1", tokens=20)
    theirs = samples("a", "1", tokens=20) + samples("b", "1111", tokens=40)
    assert paired(ours, theirs).tokens.value == pytest.approx(-0.5)


def test_area_is_the_difference_of_the_arms_areas():
    ours, theirs = samples("a", "10", tokens=3), samples("a", "11", tokens=9)
    found = paired(ours, theirs, limit=10)
    assert found.ours.curve is not None and found.theirs.curve is not None
    assert found.area.value == pytest.approx(found.ours.curve.area - found.theirs.curve.area)


def test_records_without_lengths_have_accuracy_alone():
    found = paired(samples("a", "1", tokens=None), samples("a", "0", tokens=None), limit=10)
    assert found.difference.value == 1.0
    assert found.both_solved is None and found.ours.curve is None
    assert math.isnan(found.tokens.value) and math.isnan(found.area.value)


def test_nothing_shared_is_nan_and_no_error():
    found = paired(samples("a", "1"), samples("b", "1"), limit=10)
    assert found.problems == 0 and math.isnan(found.difference.value) and math.isnan(found.test.p)


def test_select_keeps_kinds_and_greedy_apart():
    mixed = [record(), record(decoding="greedy"), record(kind="judge")]
    assert select(mixed) == mixed[:1]
    assert select(mixed, greedy=True) == mixed[1:2]
