"""Accuracy against token caps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgerlvr.evaluation import caps
from tests.helpers.records import record

ROWS = st.lists(st.lists(st.tuples(st.booleans(), st.integers(0, 60)), min_size=1, max_size=5), min_size=1, max_size=6)


def naive_accuracy(problems, cap):
    """Mean over problems of the share of right responses within the cap."""
    return np.mean([np.mean([right and tokens <= cap for right, tokens in samples]) for samples in problems])


@settings(deadline=None, max_examples=40)
@given(ROWS, st.integers(1, 50))
def test_curve_and_area_equal_a_loop_over_all_caps(problems, limit):
    problems = [[(right, max(tokens, 1)) for right, tokens in samples] for samples in problems]
    groups = [[record(score=float(right), tokens=tokens) for right, tokens in samples] for samples in problems]
    curve = caps.cap_curve(groups, limit)
    assert curve.accuracy == pytest.approx([naive_accuracy(problems, cap) for cap in curve.caps])
    assert curve.area == pytest.approx(np.mean([naive_accuracy(problems, cap) for cap in range(1, limit + 1)]))


@pytest.mark.parametrize(("limit", "points"), [(1, 1), (7, 7), (20, 20), (32768, 20)])
def test_caps_end_at_the_limit_and_never_repeat(limit, points):
    found = caps.cap_points(limit)
    assert (found[-1], len(found)) == (limit, points)
    assert found == sorted(set(found)) and found[0] >= 1
