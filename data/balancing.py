"""Only what teaches judging: problems of mixed outcome, both classes alike, no response twice.

Candidates are places in a store. ``problem``, ``label`` and ``shown`` are columns parallel to the store.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]
Problems = NDArray[np.int32]
Labels = NDArray[np.bool_]


def without_duplicates(places: Places, problem: Problems, shown: NDArray[np.uint64]) -> Places:
    """The first of several identical responses to one problem, in the order of the places."""
    # The last key of lexsort is the first to sort by: problem, then text, then place.
    order = np.lexsort((places, shown[places], problem[places]))
    ordered = places[order]
    keys = np.stack([problem[ordered].astype(np.uint64), shown[ordered]])
    first = np.ones(len(ordered), dtype=bool)
    first[1:] = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
    # Later draws depend on the order, so the places return to the order of the store.
    return np.sort(ordered[first])


def mixed_only(places: Places, problem: Problems, label: Labels) -> Places:
    """Places of problems whose pass rate is strictly between 0 and 1 (paper section 2.1: moderate difficulty)."""
    rates = pass_rates(places, problem, label)
    return places[(rates[problem[places]] > 0) & (rates[problem[places]] < 1)]


def pass_rates(places: Places, problem: Problems, label: Labels) -> NDArray[np.float64]:
    """Share of right responses of each problem, by the place of the problem. nan where a problem has none."""
    count = int(problem.max(initial=-1)) + 1
    responses = np.bincount(problem[places], minlength=count)
    right = np.bincount(problem[places], weights=label[places], minlength=count)
    return np.divide(right, responses, out=np.full(count, np.nan), where=responses > 0)


def by_problem(places: Places, problem: Problems) -> list[Places]:
    """Places of each problem in order, problems in order of first appearance in the store."""
    # A stable sort alone keeps the responses of a problem in the order of the store.
    order = np.argsort(problem[places], kind="stable")
    ordered = places[order]
    cuts = np.flatnonzero(np.diff(problem[ordered])) + 1
    return np.split(ordered, cuts) if len(ordered) else []


def balanced(places: Places, problem: Problems, label: Labels, cap: int, seed: int) -> Places:
    """Equally many right and wrong responses of each problem, at most ``cap`` each (0: no cap)."""
    draw = random.Random(seed)
    kept: list[int] = []
    for group in by_problem(places, problem):
        classes = [group[label[group]].tolist(), group[~label[group]].tolist()]
        # A whole group is never smaller than a class, so a cap of 0 caps nothing.
        count = min(len(classes[0]), len(classes[1]), cap or len(group))
        kept += [place for members in classes for place in draw.sample(members, count)]
    return np.array(kept, dtype=np.int64)


def split_by_problem(places: Places, problem: Problems, heldout: int, seed: int) -> tuple[Places, Places]:
    """(train, held-out): whole problems are held out, so that no problem of the one is in the other."""
    groups = by_problem(places, problem)
    random.Random(seed).shuffle(groups)
    train = [place for group in groups[heldout:] for place in group.tolist()]
    # Groups hold the rows of a problem side by side, and training wants problems mixed.
    random.Random(seed).shuffle(train)
    held = [place for group in groups[:heldout] for place in group.tolist()]
    return np.array(train, dtype=np.int64), np.array(held, dtype=np.int64)


def shuffled(labels: Sequence[bool] | Labels, seed: int) -> Labels:
    """The control: the same labels permuted, so that a label says nothing about its solution."""
    permuted = [bool(label) for label in labels]
    random.Random(seed).shuffle(permuted)
    return np.array(permuted, dtype=bool)
