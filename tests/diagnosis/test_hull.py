"""Distance to a convex hull against a search over all subsets of the points."""

from itertools import combinations

import numpy as np
import pytest

from judgerlvr.diagnosis.hull import hull_distance


def naive(points, target):
    """The nearest point lies inside a face: the affine span of some subset, with weights that are not below 0."""
    best = np.inf
    for size in range(1, len(points) + 1):
        for subset in combinations(range(len(points)), size):
            corner, edges = points[subset[0]], points[list(subset[1:])] - points[subset[0]]
            parts = np.linalg.lstsq(edges.T, target - corner, rcond=None)[0] if size > 1 else np.zeros(0)
            weights = np.concatenate([[1 - parts.sum()], parts])
            if (weights >= -1e-9).all():
                best = min(best, np.linalg.norm(corner + parts @ edges - target))
    return best


@pytest.mark.parametrize("dimensions", [1, 2, 3, 6])
@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_the_distance_is_that_of_the_naive_search(dimensions, count):
    draw = np.random.default_rng(dimensions * 10 + count)
    for scale in (0.3, 3.0):
        points, target = draw.normal(size=(count, dimensions)), draw.normal(size=dimensions) * scale
        assert hull_distance(points, target) == pytest.approx(naive(points, target), abs=1e-6)


def test_a_mean_of_points_is_inside_and_repeated_points_do_no_harm():
    points = np.random.default_rng(0).normal(size=(6, 3))
    assert hull_distance(np.concatenate([points, points]), points.mean(0)) == pytest.approx(0, abs=1e-7)


def test_nothing_is_inside_of_no_points():
    assert hull_distance(np.zeros((0, 3)), np.zeros(3)) == np.inf
