"""Accuracy of samples by problem, the one definition of the project: problems weigh the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def problem_means(scores: Sequence[float] | Floats, problems: Sequence[str]) -> tuple[Floats, Floats]:
    """The mean score and the number of samples of each problem (both: problems), problems in sorted order."""
    names, codes = np.unique(np.asarray(problems, dtype=str), return_inverse=True)
    totals = np.bincount(codes, weights=np.asarray(scores, dtype=np.float64), minlength=len(names))
    counts = np.bincount(codes, minlength=len(names)).astype(np.float64)
    return totals / counts, counts
