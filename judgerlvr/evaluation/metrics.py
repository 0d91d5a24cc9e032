"""Numbers of an evaluation: pure numpy, no records, no engine.

Every interval resamples *problems* (clusters), never samples, because the samples of one problem are not independent.
Estimators are functions of per-problem sums, so a single vectorised bootstrap serves all estimators.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from data.balanced_accuracy import ratio

Floats = NDArray[np.float64]

BOOTSTRAP_DRAWS = 2000
BOOTSTRAP_SEED = 0


@dataclass(frozen=True)
class Estimate:
    """A value with the ends of its 95 % percentile interval. All are nan if there is nothing to average."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def cluster_sums(columns: Floats, clusters: Sequence[str]) -> Floats:
    """Sum the rows of ``columns`` (samples x quantities) that share a cluster: clusters x quantities."""
    names, codes = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    sums = np.zeros((len(names), columns.shape[1]))
    np.add.at(sums, codes, columns)
    return sums


def bootstrap(
    sums: Floats,
    statistic: Callable[[Floats], Floats],
    draws: int = BOOTSTRAP_DRAWS,
    seed: int = BOOTSTRAP_SEED,
) -> Estimate:
    """``statistic`` of the column totals, with its interval over resampled clusters (rows of ``sums``)."""
    count = len(sums)
    if count == 0:
        return Estimate(np.nan, np.nan, np.nan)
    value = float(statistic(sums.sum(axis=0)))
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws)
    replicates = statistic(weights.astype(np.float64) @ sums)
    replicates = replicates[~np.isnan(replicates)]  # A replicate may miss a class altogether.
    if len(replicates) == 0:
        return Estimate(value, np.nan, np.nan)
    low, high = np.quantile(replicates, [0.025, 0.975])
    return Estimate(value, float(low), float(high))


def mean_estimate(values: Floats, clusters: Sequence[str], keep: NDArray[np.bool_] | None = None) -> Estimate:
    """Mean over the kept samples with an interval over clusters. ``keep`` defaults to all samples."""
    kept = np.ones(len(values), dtype=bool) if keep is None else keep
    columns = np.stack([np.where(kept, values, 0.0), kept.astype(np.float64)], axis=1)
    return bootstrap(cluster_sums(columns, clusters), ratio)


def pass_at_k(scores: Floats, clusters: Sequence[str], k: int) -> Estimate:
    """Chance that at least one of k samples is right, unbiased (arXiv 2107.03374), averaged over problems.

    Problems with fewer than k samples are left out. nan if no problem is left.
    """
    columns = np.stack([scores, np.ones_like(scores)], axis=1)
    sums = cluster_sums(columns, clusters)
    sums = sums[sums[:, 1] >= k]
    misses = np.ones(len(sums))
    for drawn in range(k):  # chance that draw after draw, without replacement, all are wrong
        misses *= np.clip(sums[:, 1] - sums[:, 0] - drawn, 0, None) / (sums[:, 1] - drawn)
    return bootstrap(np.stack([1 - misses, np.ones_like(misses)], axis=1), ratio)


def accuracy_at_caps(scores: Floats, tokens: Floats, caps: Sequence[int]) -> list[float]:
    """Accuracy if every output longer than the cap counted as wrong, for each cap."""
    if len(scores) == 0:
        return [float("nan")] * len(caps)
    return [float(np.mean(np.where(tokens <= cap, scores, 0.0))) for cap in caps]


def area_under_caps(scores: Floats, tokens: Floats, limit: int) -> float:
    """Mean of the cap curve over the caps 1..limit. The area rewards short correct answers in a single number."""
    if len(scores) == 0:
        return float("nan")
    # A right answer of t tokens counts at the caps t..limit, which are limit - t + 1 caps.
    share = np.clip(limit - np.maximum(tokens, 1) + 1, 0, None) / limit
    return float(np.mean(scores * share))


@dataclass(frozen=True)
class Confusion:
    """Counts of verdicts by label. ``*_none`` counts outputs without a readable verdict."""

    yes_yes: int
    yes_no: int
    yes_none: int
    no_yes: int
    no_no: int
    no_none: int

    def as_dict(self) -> dict[str, int]:
        """Keys read ``label_verdict``."""
        return asdict(self)


def confusion(labels: Sequence[bool], verdicts: Sequence[bool | None]) -> Confusion:
    """Count the six cells of label by verdict (label yes = the solution is correct)."""
    pairs = list(zip(labels, verdicts, strict=True))
    cells = [pairs.count((label, verdict)) for label in (True, False) for verdict in (True, False, None)]
    return Confusion(*cells)


def verdict_columns(labels: Sequence[bool], verdicts: Sequence[bool | None]) -> Floats:
    """Per sample: true yes, labelled yes, true no, labelled no, said yes (samples x 5)."""
    rows = [
        (label and verdict is True, label, not label and verdict is False, not label, verdict is True)
        for label, verdict in zip(labels, verdicts, strict=True)
    ]
    return np.asarray(rows, dtype=np.float64).reshape(len(rows), 5)
