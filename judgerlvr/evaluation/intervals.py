"""Intervals of 95 % over problems for shares, for their differences, and for any mean.

Samples of one problem are not independent, so the problem is the unit. A share near 0 or 1 gets a clustered Wilson
interval. The plain intervals fail there: the percentile bootstrap of 30 right answers of 30 is [1, 1].
``benchmarks/interval_coverage.py`` measures coverage and width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from rewards.wording import counted

Floats = NDArray[np.float64]

LEVEL = 0.95
BOOTSTRAP_DRAWS = 2000
BOOTSTRAP_SEED = 0


@dataclass(frozen=True)
class Estimate:
    """A value with the ends of its 95 % interval. All are nan if there is nothing to average."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


NOTHING = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Shares:
    """One share of [0, 1] for each problem, and the number of samples behind each share (both: problems)."""

    values: Floats
    samples: Floats

    @property
    def mean(self) -> float:
        """The mean over problems, which all weigh the same."""
        return float(self.values.mean())


def share_interval(shares: Shares) -> Estimate:
    """The mean of the shares with a clustered Wilson interval. A single problem has the interval of a single sample."""
    count = len(shares.values)
    if count == 0:
        return NOTHING
    # Problems weigh the same, so the variance of the mean adds up 1/n over the problems.
    independent = count * count / float((1 / shares.samples).sum())
    variance = float(shares.values.var(ddof=1)) / count if count > 1 else math.inf
    return wilson(shares.mean, variance, count, independent)


def ratio_interval(sums: Floats, statistic: Callable[[Floats], Floats], samples: float) -> Estimate:
    """A share that is a function of column totals, for example a recall, with a clustered Wilson interval.

    ``sums`` are problems x columns. ``samples`` counts the samples behind the share. The variance over problems comes
    from the jackknife, which leaves out each problem in turn.
    """
    # Problems without a sample in any column would count as problems.
    sums = sums[sums.any(axis=1)]
    totals = sums.sum(axis=0)
    value = float(statistic(totals)) if len(sums) else math.nan
    if math.isnan(value):
        return NOTHING
    without = statistic(totals - sums)
    without = without[~np.isnan(without)]
    left = len(without)
    variance = (left - 1) / left * float(((without - without.mean()) ** 2).sum()) if left > 1 else math.inf
    return wilson(value, variance, min(len(sums), samples), samples)


def wilson(value: float, variance: float, problems: float, samples: float) -> Estimate:
    """The Wilson score interval of a share, at the number of independent samples that the clusters are worth.

    ``variance`` is the variance of the share over problems, and ``samples`` is the number of samples. The agreement
    within problems is the intraclass correlation, estimated from ``variance``. Few failures show little of the
    agreement, so the estimate is drawn towards 1 by the weight of a single failing problem. Where every sample is
    right, the agreement is 1.
    """
    unit = value * (1 - value)
    per_problem = samples / problems
    effect = variance * samples / unit if unit > 0 else per_problem
    agreement = min(max((effect - 1) / (per_problem - 1), 0.0), 1.0) if per_problem > 1 else 1.0
    seen = 4 * problems * unit
    agreement = (agreement * seen + 1) / (seen + 1)
    worth = samples / (1 + (per_problem - 1) * agreement)
    low, high = wilson_ends(value * worth, worth)
    # Rounding must not push an end past the value.
    return Estimate(value, max(0.0, min(low, value)), min(1.0, max(high, value)))


def wilson_ends(right: float, samples: float) -> tuple[float, float]:
    """Ends of the Wilson score interval of 95 % for ``right`` of independent ``samples``. Both may be fractions."""
    # statsmodels takes most of a processor second to import, and no --help needs an interval.
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(right, samples, alpha=1 - LEVEL, method="wilson")
    return float(low), float(high)


def difference_interval(ours: Shares, theirs: Shares) -> Estimate:
    """Mean of ``ours`` minus mean of ``theirs``, paired by problem, with an interval.

    The interval is Newcombe's hybrid score interval (Statistics in Medicine 17, 1998, method 10) over clustered Wilson
    intervals. The correlation over problems is drawn towards 0 where few problems fail.

    Raises:
        ValueError: the two have different numbers of problems.
    """
    if len(ours.values) != len(theirs.values):
        raise ValueError(f"{counted(len(ours.values), 'problem')} against {len(theirs.values)}")
    one, two = share_interval(ours), share_interval(theirs)
    if math.isnan(one.value):
        return NOTHING
    correlation = _correlation(ours.values, theirs.values)
    difference = one.value - two.value
    below = _joined(one.value - one.low, two.high - two.value, correlation)
    above = _joined(one.high - one.value, two.value - two.low, correlation)
    return Estimate(difference, max(-1.0, difference - below), min(1.0, difference + above))


def _joined(one: float, two: float, correlation: float) -> float:
    """The half width of a difference from the half widths of both sides."""
    # Rounding can push the sum of squares below 0.
    return math.sqrt(max(0.0, one * one - 2 * correlation * one * two + two * two))


def _correlation(ours: Floats, theirs: Floats) -> float:
    """Correlation over problems, drawn towards 0 by the weight of a single failing problem."""
    spread = float(ours.std() * theirs.std())
    # Without any spread on a side a correlation would divide by 0.
    if spread == 0:
        return 0.0
    found = float(((ours - ours.mean()) * (theirs - theirs.mean())).mean()) / spread
    seen = 4 * len(ours) * min(float(values.mean() * (1 - values.mean())) for values in (ours, theirs))
    return found * seen / (seen + 1)


def bootstrap(
    sums: Floats,
    statistic: Callable[[Floats], Floats],
    draws: int = BOOTSTRAP_DRAWS,
    seed: int = BOOTSTRAP_SEED,
) -> Estimate:
    """``statistic`` of the column totals with a percentile interval over resampled problems (rows of ``sums``).

    Lengths have this interval, since lengths have no bound. Shares get ``share_interval`` or ``ratio_interval``.
    """
    count = len(sums)
    if count == 0:
        return NOTHING
    value = float(statistic(sums.sum(axis=0)))
    # Drawing problems with replacement gives each problem a count, and the counts are multinomial.
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws)
    replicates = statistic(weights.astype(np.float64) @ sums)
    replicates = replicates[~np.isnan(replicates)]  # A replicate may miss a class altogether.
    if len(replicates) == 0:
        return Estimate(value, math.nan, math.nan)
    low, high = np.quantile(replicates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))
