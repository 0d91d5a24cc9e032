"""Sign-flip permutation test of paired differences, and Holm's correction over several tests.

Under the null hypothesis both arms are alike on each problem, so each difference might as well have the other sign.
The statistic is the sum of the differences, and the test has two sides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ENUMERATED = 15  # differences other than 0, of which all sign patterns are tried
LATTICE = 20_000_000  # steps of the exact sum over a lattice, under a second
DRAWS = 100_000
CHUNK = 2_000_000  # signs drawn at a time
SEED = 0
NEAR = 1e-9  # relative difference of two sums that count as equal


@dataclass(frozen=True)
class PermutationTest:
    """The p-value, and whether all sign patterns were counted. Else ``p`` comes from ``DRAWS`` random patterns."""

    p: float
    exact: bool


def permutation_test(differences: Floats, unit: float | None = None) -> PermutationTest:
    """Two-sided sign-flip test of ``differences`` (problems), nan without problems.

    ``unit`` divides every difference, as 1/n does for accuracies of n samples. The p-value is then exact for any
    number of problems.
    """
    if len(differences) == 0:
        return PermutationTest(math.nan, True)
    moved = differences[differences != 0]
    if len(moved) <= ENUMERATED:
        return PermutationTest(enumerated_p(moved), True)
    if unit is not None:
        # Whole numbers free the sum from rounding, so that ties count as ties.
        steps = np.abs(np.rint(moved / unit)).astype(np.int64)
        if len(steps) * (2 * int(steps.sum()) + 1) <= LATTICE:
            return PermutationTest(lattice_p(steps, abs(round(float(moved.sum()) / unit))), True)
    return PermutationTest(drawn_p(moved), False)


def enumerated_p(differences: Floats) -> float:
    """Share of all sign patterns whose sum is at least as far from 0."""
    sums = np.zeros(1)
    for value in differences:
        sums = np.concatenate([sums + value, sums - value])
    return float(np.mean(_as_far(sums, differences)))


def lattice_p(steps: NDArray[np.int64], observed: int) -> float:
    """The same for whole numbers, from the distribution of their sum. ``steps`` are positive."""
    total = int(steps.sum())
    chances = np.zeros(2 * total + 1)
    chances[total] = 1.0
    for step in steps:
        moved = np.zeros_like(chances)
        moved[step:] = chances[:-step]
        moved[:-step] += chances[step:]
        chances = moved / 2
    sums = np.abs(np.arange(-total, total + 1))
    # Rounding can push the sum of the chances past 1.
    return min(1.0, float(chances[sums >= observed].sum()))


def drawn_p(differences: Floats, draws: int = DRAWS, seed: int = SEED) -> float:
    """Share of random sign patterns whose sum is at least as far from 0, the observed pattern counted in."""
    rng = np.random.default_rng(seed)
    size = max(1, CHUNK // len(differences))
    hits = 0
    for start in range(0, draws, size):
        signs = rng.integers(0, 2, size=(min(size, draws - start), len(differences)), dtype=np.int8)
        hits += int(_as_far((2.0 * signs - 1) @ differences, differences).sum())
    # The observed pattern is counted in, so that p is never 0.
    return (hits + 1) / (draws + 1)


def _as_far(sums: Floats, differences: Floats) -> NDArray[np.bool_]:
    observed = abs(float(differences.sum()))
    far: NDArray[np.bool_] = np.abs(sums) >= observed - NEAR * float(np.abs(differences).sum())
    return far


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (Scandinavian Journal of Statistics 6, 1979), in the given order. nan stays nan."""
    known = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted, highest = list(p_values), 0.0
    for rank, (p, place) in enumerate(known):
        # A larger p-value never gets a smaller adjusted value.
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        adjusted[place] = highest
    return adjusted
