"""Numbers of an evaluation: pure numpy, no records, no engine.

Intervals are over *problems* (clusters), because the samples of one problem are not independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from data.balanced_accuracy import balanced_accuracy, ratio
from data.problem_means import problem_means
from judgerlvr.evaluation.intervals import (
    NOTHING,
    Estimate,
    Floats,
    Shares,
    bootstrap,
    ratio_interval,
    share_interval,
)


def cluster_sums(columns: Floats, clusters: Sequence[str]) -> Floats:
    """Sum the rows of ``columns`` (samples x quantities) that share a cluster: clusters x quantities."""
    names, codes = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    sums = np.zeros((len(names), columns.shape[1]))
    # `sums[codes] += columns` would count a repeated cluster once only.
    np.add.at(sums, codes, columns)
    return sums


def shares_of(scores: Floats, clusters: Sequence[str]) -> Shares:
    """The mean score of each cluster, with its number of samples."""
    return Shares(*problem_means(scores, clusters))


def accuracy(scores: Floats, clusters: Sequence[str]) -> Estimate:
    """The mean score over problems, which all weigh the same."""
    return share_interval(shares_of(scores, clusters))


def mean_length(values: Floats, clusters: Sequence[str], keep: NDArray[np.bool_] | None = None) -> Estimate:
    """Mean over the kept samples with a bootstrap interval over clusters. ``keep`` defaults to all samples."""
    kept = np.ones(len(values), dtype=bool) if keep is None else keep
    # Left-out samples stay in the clusters with weight 0, so that all clusters are resampled.
    columns = np.stack([np.where(kept, values, 0.0), kept.astype(np.float64)], axis=1)
    return bootstrap(cluster_sums(columns, clusters), ratio)


def pass_at_k(scores: Floats, clusters: Sequence[str], k: int) -> Estimate:
    """Chance that at least one of k samples is right, unbiased (arXiv 2107.03374), averaged over problems.

    Problems with fewer than k samples are left out. nan if no problem is left.
    """
    sums = cluster_sums(np.stack([scores, np.ones_like(scores)], axis=1), clusters)
    sums = sums[sums[:, 1] >= k]
    if len(sums) == 0:
        return NOTHING
    misses = np.ones(len(sums))
    for drawn in range(k):  # chance that draw after draw, without replacement, all are wrong
        misses *= np.clip(sums[:, 1] - sums[:, 0] - drawn, 0, None) / (sums[:, 1] - drawn)
    # n samples hold n / k independent draws of k.
    return share_interval(Shares(1 - misses, sums[:, 1] / k))


def recall_interval(sums: Floats) -> Estimate:
    """The share of column 0 in column 1, over clusters (clusters x 2)."""
    return ratio_interval(sums, ratio, float(sums[:, 1].sum()))


def balanced_accuracy_interval(sums: Floats) -> Estimate:
    """Balanced accuracy from the first four verdict columns (clusters x columns)."""
    right, wrong = float(sums[:, 1].sum()), float(sums[:, 3].sum())
    # A mean of two recalls is worth the harmonic mean of both classes.
    samples = 4 * right * wrong / (right + wrong) if right and wrong else 0.0
    return ratio_interval(sums[:, :4], balanced_accuracy, samples)


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
