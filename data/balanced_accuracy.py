"""Balanced accuracy, the one definition of the project: the mean of the recalls of both classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def ratio(totals: Floats) -> Floats:
    """Column 0 over column 1 along the last axis. The ratio is nan where column 1 is 0."""
    above, below = totals[..., 0], totals[..., 1]
    # `where` spares numpy's warning, and places without a division keep the nan of `out`.
    return np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below != 0)


def balanced_accuracy(totals: Floats) -> Floats:
    """Mean recall of the two classes, from float64 counts along the last axis.

    The counts are (right said right, right, wrong said wrong, wrong).
    A missing verdict is a miss in its class. The mean is nan where a class is empty.
    """
    return (ratio(totals[..., 0:2]) + ratio(totals[..., 2:4])) / 2


def mean_recall(right: float | None, wrong: float | None) -> float:
    """Balanced accuracy from the two recalls. nan where a class is absent, which None says."""
    return float("nan") if right is None or wrong is None else (right + wrong) / 2


def balanced_accuracy_of(labels: Sequence[bool] | NDArray[np.bool_], verdicts: Sequence[Any] | NDArray[Any]) -> float:
    """Balanced accuracy of ``verdicts`` (True, False, or None for no verdict). nan where a class is empty."""
    truth = np.asarray(labels, dtype=bool)
    said = np.asarray(verdicts)
    # None equals neither label, so a missing verdict is counted as a miss.
    hits = [np.sum((said == label) & (truth == label)) for label in (True, False)]
    return float(balanced_accuracy(np.array([hits[0], truth.sum(), hits[1], (~truth).sum()], dtype=np.float64)))
