"""The temperature at which a policy has a wanted entropy, and its figures there."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

TOLERANCE = 0.03  # of the logarithm of the entropy
MOST_TRIES = 5
# A step outside of the temperatures tried changes the temperature by no more than this factor.
WIDEST = 1.6


@dataclass(frozen=True)
class Point:
    """A policy sampled at a temperature. ``entropy`` is in nats a token, of the distribution that was sampled."""

    temperature: float
    entropy: float
    accuracy: float
    tokens: float


def search(measure: Callable[[float], Point], known: Sequence[Point], target: float, first: float = 0.0) -> list[Point]:
    """All points, the known ones too, once one is as near to ``target`` as ``TOLERANCE`` or ``MOST_TRIES`` are spent.

    The entropy must rise with the temperature. ``first`` is the temperature to begin with, 0 for none.
    """
    points = list(known)
    for number in range(MOST_TRIES):
        if reached(points, target):
            break
        begin = bool(first) and not number and all(point.temperature != first for point in points)
        points.append(measure(first if begin else next_temperature(points, target)))
    return points


def reached(points: Sequence[Point], target: float) -> bool:
    """Whether the nearest point is near enough."""
    return min(abs(math.log(point.entropy / target)) for point in points) <= TOLERANCE


def next_temperature(points: Sequence[Point], target: float) -> float:
    """Between the two points around ``target``, on a line over the logarithm of the entropy. Else a step outside."""
    below = [point for point in points if point.entropy <= target]
    above = [point for point in points if point.entropy > target]
    if below and above:
        low, high = max(below, key=_entropy), min(above, key=_entropy)
        share = math.log(target / low.entropy) / math.log(high.entropy / low.entropy)
        return low.temperature + share * (high.temperature - low.temperature)
    nearest = max(below, key=_entropy) if below else min(above, key=_entropy)
    return nearest.temperature * min(WIDEST, max(1 / WIDEST, target / nearest.entropy))


def at_entropy(points: Sequence[Point], target: float) -> Point:
    """The figures at ``target``, on lines between the points tried. The nearest point outside of these."""
    rows = sorted(points, key=_entropy)
    entropies = [point.entropy for point in rows]
    columns = ([getattr(point, name) for point in rows] for name in ("temperature", "accuracy", "tokens"))
    temperature, accuracy, tokens = (float(np.interp(target, entropies, column)) for column in columns)
    return Point(temperature, target, accuracy, tokens)


def _entropy(point: Point) -> float:
    return point.entropy
