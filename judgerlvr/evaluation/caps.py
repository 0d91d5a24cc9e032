"""Accuracy if every response longer than a token cap counted as wrong, as a curve over caps with its area."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judgerlvr.evaluation.records import Record

Floats = NDArray[np.float64]

POINTS = 20


@dataclass(frozen=True)
class Curve:
    """Accuracy at each of ``caps`` (tokens), and the mean of the whole curve over the caps from 1 to the limit."""

    caps: tuple[int, ...]
    accuracy: tuple[float, ...]
    area: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def cap_points(limit: int) -> list[int]:
    """At most ``POINTS`` even steps up to the limit."""
    # A small limit rounds several steps to the same cap, hence the set.
    return sorted({round(limit * point / POINTS) or 1 for point in range(1, POINTS + 1)})


def cap_curve(problems: Sequence[Sequence[Record]], limit: int) -> Curve:
    """The curve of records with lengths, by problem. Problems weigh the same.

    Raises:
        TypeError: a record has no length.
    """
    scores = np.array([record.score for group in problems for record in group], dtype=np.float64)
    tokens = np.array([record.tokens for group in problems for record in group], dtype=np.float64)
    # A sample weighs 1 over the samples of the problem, so that problems weigh the same.
    weights = np.array([1 / len(group) for group in problems for _ in group], dtype=np.float64)
    caps = cap_points(limit)
    return Curve(tuple(caps), tuple(accuracy_at(scores, tokens, caps, weights)), area(scores, tokens, limit, weights))


def accuracy_at(scores: Floats, tokens: Floats, caps: Sequence[int], weights: Floats | None = None) -> list[float]:
    """Accuracy at each cap (tokens). nan without samples. ``weights`` (samples) default to equal weights."""
    if len(scores) == 0:
        return [float("nan")] * len(caps)
    return [float(np.average(np.where(tokens <= cap, scores, 0.0), weights=weights)) for cap in caps]


def area(scores: Floats, tokens: Floats, limit: int, weights: Floats | None = None) -> float:
    """Mean of the cap curve over the caps 1..limit. The area rewards short correct answers in a single number."""
    if len(scores) == 0:
        return float("nan")
    # A right answer of t tokens counts at the caps t..limit, which are limit - t + 1 caps.
    share = np.clip(limit - np.maximum(tokens, 1) + 1, 0, None) / limit
    return float(np.average(scores * share, weights=weights))
