"""The map's statistics: the pair of runs is the unit, cells are corrected by Holm, and four outcomes are possible."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.stats import t as student

TIE_ACCURACY, TIE_LOG_TOKENS = 0.015, math.log(1.07)
LEVEL = 0.95
ROUNDING = 1e-12  # of shares and logarithms. Records have five digits


class Outcome(StrEnum):
    WIN = "win"
    TIE = "tie"
    LOSS = "loss"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Estimate:
    """Mean over pairs, bounds of the two-sided 95 % t interval, and one-sided p values of "above 0" and "below 0"."""

    mean: float
    low: float
    high: float
    p_above: float
    p_below: float
    pairs: int


def estimate(differences: Sequence[float]) -> Estimate:
    """Student's t over pairs. A single pair, or pairs that only rounding tells apart, bound nothing."""
    n = len(differences)
    mean = float(np.mean(differences))
    spread = float(np.std(differences, ddof=1)) if n > 1 else 0.0
    if spread <= ROUNDING * max(1.0, *map(abs, differences)):
        return Estimate(mean, -math.inf, math.inf, 0.5, 0.5, n)
    error = spread / math.sqrt(n)
    reach = float(student.ppf(0.5 + LEVEL / 2, n - 1)) * error
    below = float(student.cdf(mean / error, n - 1))
    return Estimate(mean, mean - reach, mean + reach, 1 - below, below, n)


def sign_flip(differences: Sequence[float]) -> float:
    """One-sided p value of "above 0", exact: the share of all 2^n sign changes whose mean is at least as large.

    The signs of n pairs are exchangeable if nothing differs. ``n`` equal signs give 2^-n, the least value there is.
    """
    sums = np.zeros(1)
    for size in map(abs, differences):
        sums = np.concatenate([sums + size, sums - size])
    return float(np.mean(sums >= sum(differences) - ROUNDING * max(1.0, *map(abs, differences))))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the order given."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def front_tokens(front: Sequence[tuple[float, float]], accuracy: float) -> float:
    """Fewest tokens of a mixture of ``front`` points (accuracy, tokens) that is as accurate. Inf if none is."""
    costs = [tokens for reached, tokens in front if reached >= accuracy]
    for low_accuracy, low_tokens in front:
        for high_accuracy, high_tokens in front:
            if low_accuracy < accuracy < high_accuracy:
                share = (accuracy - low_accuracy) / (high_accuracy - low_accuracy)
                costs.append(low_tokens + share * (high_tokens - low_tokens))
    return min(costs, default=math.inf)


@dataclass(frozen=True)
class Comparison:
    """One arm of one cell against vanilla: accuracy difference, log of vanilla's tokens over the arm's, the front."""

    accuracy: Estimate
    shortening: Estimate
    arm_accuracy: float
    arm_tokens: float
    front: float  # tokens of the penalty front at the arm's accuracy
    at_entropy: Estimate | None = None  # accuracy difference at matched entropy, where a win needs that too

    @property
    def p_win(self) -> float:
        """Both halves must hold, so the larger of the two-sided p values."""
        return min(1.0, 2 * max(self.accuracy.p_above, self.shortening.p_above))

    @property
    def p_loss(self) -> float:
        return min(1.0, 2 * self.accuracy.p_below)


def outcomes(comparisons: Sequence[Comparison]) -> list[Outcome]:
    """Outcome of each comparison. Wins and losses must hold after Holm over all comparisons given."""
    wins, losses = holm([c.p_win for c in comparisons]), holm([c.p_loss for c in comparisons])
    return [outcome(c, win, loss) for c, win, loss in zip(comparisons, wins, losses, strict=True)]


def outcome(comparison: Comparison, p_win: float, p_loss: float) -> Outcome:
    accuracy, shortening = comparison.accuracy, comparison.shortening
    limit = 1 - LEVEL
    sharper = comparison.at_entropy is not None and comparison.at_entropy.low <= 0
    if accuracy.low > 0 and shortening.low > 0 and p_win < limit and comparison.arm_tokens < comparison.front:
        return Outcome.UNDECIDED if sharper else Outcome.WIN
    if accuracy.high < 0 and p_loss < limit:
        return Outcome.LOSS
    if inside(accuracy, TIE_ACCURACY) and inside(shortening, TIE_LOG_TOKENS):
        return Outcome.TIE
    return Outcome.UNDECIDED


def inside(value: Estimate, margin: float) -> bool:
    return -margin < value.low and value.high < margin
