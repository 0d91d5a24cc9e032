"""Whether a point lies in the convex hull of measured points: the distance to the hull, by nonnegative least squares.

The weights of the nearest hull point are the solution of ``[points - target; 1] w = [0; 1]`` with w >= 0, up to a
factor (Lawson and Hanson, Solving Least Squares Problems, chapter 23).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
TOLERANCE = 1e-10


def hull_distance(points: Floats, target: Floats) -> float:
    """Euclidean distance of ``target`` [d] from the convex hull of ``points`` [n, d]. Infinite without points."""
    if not len(points):
        return float("inf")
    system = np.vstack([(points - target).T, np.ones(len(points))])
    wanted = np.zeros(len(system))
    wanted[-1] = 1.0
    weights = nonnegative_least_squares(system, wanted)
    nearest = weights @ points / weights.sum()
    return float(np.linalg.norm(nearest - target))


def nonnegative_least_squares(matrix: Floats, wanted: Floats) -> Floats:
    """The w >= 0 [n] with the least ``|matrix w - wanted|`` (Lawson and Hanson 1974, algorithm NNLS)."""
    count = matrix.shape[1]
    used, weights = np.zeros(count, dtype=bool), np.zeros(count)
    for _ in range(10 * count):
        gradient = matrix.T @ (wanted - matrix @ weights)
        gradient[used] = -np.inf
        best = int(np.argmax(gradient))
        if gradient[best] <= TOLERANCE:
            break
        used[best] = True
        weights = _inside(matrix, wanted, used, weights)
    return weights


def _inside(matrix: Floats, wanted: Floats, used: NDArray[np.bool_], weights: Floats) -> Floats:
    """Least squares over the used columns. Columns whose weight would fall below 0 leave ``used``."""
    while True:
        free = np.zeros(len(weights))
        free[used] = np.linalg.lstsq(matrix[:, used], wanted, rcond=None)[0]
        below = used & (free <= 0)
        if not below.any():
            return free
        # The largest part of the way to the free solution on which no weight is below 0.
        share = float((weights[below] / (weights[below] - free[below])).min())
        weights = weights + share * (free - weights)
        used &= weights > TOLERANCE
        weights[~used] = 0.0
