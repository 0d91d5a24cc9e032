"""The plan of kills on a cluster of two nodes."""

from collections import Counter

import pytest

from benchmarks.stages.cluster_kills import KINDS, planned


@pytest.mark.parametrize("count", [15, 40])
def test_each_kind_is_killed_equally_often(count):
    assert set(Counter(kind for kind, _ in planned(count, 0)).values()) == {count // len(KINDS)}


def test_a_seed_gives_one_plan():
    assert planned(15, 3) == planned(15, 3) != planned(15, 4)


def test_times_are_spread_over_the_run():
    shares = [share for _, share in planned(400, 0)]
    assert all(sum(low <= share < low + 0.25 for share in shares) > 60 for low in (0, 0.25, 0.5, 0.75))
