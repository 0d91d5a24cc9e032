"""The search of a temperature by entropy, against a scan of all temperatures."""

import math

import numpy as np
import pytest

from benchmarks.stages.seed_pairs.entropy_search import MOST_TRIES, TOLERANCE, WIDEST, Point, at_entropy, search
from benchmarks.stages.seed_pairs.entropy_search import next_temperature as following

LOGITS = np.array([[3.0, 1.0, 0.0, -1.0], [0.5, 0.4, 0.0, -2.0], [6.0, 5.0, -1.0, -1.0]])


def exact(temperature):
    """Mean entropy of three tempered distributions. The accuracy is the mean chance of the first outcome."""
    chances = np.exp(LOGITS / temperature)
    chances /= chances.sum(1, keepdims=True)
    entropy = float(-(chances * np.log(chances)).sum(1).mean())
    return Point(temperature, entropy, float(chances[:, 0].mean()), 10 * temperature)


def scanned(target):
    """The naive twin: the nearest of 4,000 temperatures."""
    return min((exact(number / 1000) for number in range(20, 4000)), key=lambda point: abs(point.entropy - target))


@pytest.mark.parametrize("share", [0.4, 0.5, 0.7, 0.9, 1.1, 1.25])
def test_the_search_finds_the_temperature_of_the_scan(share):
    target = share * exact(1.0).entropy
    found, wanted = at_entropy(search(exact, [exact(1.0)], target), target), scanned(target)
    assert found.temperature == pytest.approx(wanted.temperature, rel=0.05)
    assert found.accuracy == pytest.approx(wanted.accuracy, abs=0.01)


def test_a_known_point_that_is_near_needs_no_try():
    known = [Point(0.5, 0.2, 0.7, 60.0)]
    assert search(exact, known, 0.2 * (1 + TOLERANCE / 2)) == known


def test_a_search_that_cannot_succeed_ends():
    """Entropy that no temperature changes."""
    points = search(lambda temperature: Point(temperature, 0.3, 0.5, 50.0), [Point(1.0, 0.3, 0.5, 50.0)], 0.1)
    assert len(points) == 1 + MOST_TRIES


def test_the_first_try_is_the_given_temperature():
    asked = []

    def measure(temperature):
        asked.append(temperature)
        return exact(temperature)

    search(measure, [exact(1.0)], exact(0.6).entropy, first=0.6)
    assert asked == [0.6]


@pytest.mark.parametrize(("target", "temperature"), [(1e-6, 1 / WIDEST), (1e6, WIDEST)])
def test_a_step_outside_of_the_points_is_bounded(target, temperature):
    assert following([Point(1.0, 0.3, 0.5, 50.0)], target) == pytest.approx(temperature)


def test_between_two_points_the_logarithm_of_the_entropy_counts():
    """0.2 is the geometric mean of 0.1 and 0.4."""
    assert following([Point(0.4, 0.1, 0.0, 0.0), Point(1.0, 0.4, 0.0, 0.0)], 0.2) == pytest.approx(0.7)


def by_hand(points, target):
    """The naive twin of ``at_entropy``: the line between the nearest points on both sides."""
    low = max((point for point in points if point.entropy <= target), key=lambda point: point.entropy)
    high = min((point for point in points if point.entropy >= target), key=lambda point: point.entropy)
    share = (target - low.entropy) / (high.entropy - low.entropy)
    return [
        getattr(low, name) + share * (getattr(high, name) - getattr(low, name))
        for name in ("temperature", "accuracy", "tokens")
    ]


@pytest.mark.parametrize("target", [0.15, 0.25, 0.3])
def test_figures_lie_on_lines_between_the_points(target):
    points = [Point(1.0, 0.35, 0.3, 66.0), Point(0.4, 0.1, 0.8, 50.0), Point(0.7, 0.22, 0.6, 55.0)]
    found = at_entropy(points, target)
    assert [found.temperature, found.accuracy, found.tokens] == pytest.approx(by_hand(points, target))


def test_outside_of_the_points_the_nearest_point_counts():
    points = [Point(1.0, 0.35, 0.3, 66.0), Point(0.7, 0.22, 0.6, 55.0)]
    found = at_entropy(points, 0.21)
    assert (found.temperature, found.accuracy, found.tokens) == (0.7, 0.6, 55.0)
    assert math.isclose(found.entropy, 0.21)
