"""Whether a point lies in the convex hull of measured points: the distance to the hull, by nonnegative least squares.

The weights of the nearest hull point are the solution of ``[points - target; 1] w = [0; 1]`` with w >= 0, up to a
factor (Lawson and Hanson, Solving Least Squares Problems, chapter 23).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def hull_distance(points: Floats, target: Floats) -> float:
    """Euclidean distance of ``target`` [d] from the convex hull of ``points`` [n, d]. Infinite without points."""
    if not len(points):
        return float("inf")
    system = np.vstack([(points - target).T, np.ones(len(points))])
    wanted = np.zeros(len(system))
    wanted[-1] = 1.0
    # scipy.optimize takes a third of a processor second to import, and --help of the diagnosis needs none.
    from scipy.optimize import nnls

    weights = nnls(system, wanted)[0]
    nearest = weights @ points / weights.sum()
    return float(np.linalg.norm(nearest - target))
