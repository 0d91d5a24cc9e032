"""Only what teaches judging: problems of mixed outcome, both classes alike, no response twice."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from data.labelling import Triplet


def by_problem(triplets: Iterable[Triplet]) -> dict[str, list[Triplet]]:
    """Triplets of each problem, problems in order of first appearance."""
    groups: dict[str, list[Triplet]] = defaultdict(list)
    for triplet in triplets:
        groups[triplet.problem.id].append(triplet)
    return dict(groups)


def mixed_only(triplets: Sequence[Triplet]) -> list[Triplet]:
    """Problems whose pass rate is strictly between 0 and 1 (paper section 2.1: moderate difficulty)."""
    return [t for group in by_problem(triplets).values() if len({t.label for t in group}) == 2 for t in group]


def without_duplicates(triplets: Sequence[Triplet]) -> list[Triplet]:
    """The first of several identical responses to one problem."""
    return list({(t.problem.id, t.response): t for t in reversed(triplets)}.values())[::-1]


def balanced(triplets: Sequence[Triplet], cap: int, seed: int) -> list[Triplet]:
    """Equally many right and wrong solutions of each problem, at most ``cap`` each (0: no cap)."""
    draw = random.Random(seed)
    kept = []
    for group in by_problem(triplets).values():
        classes = [[t for t in group if t.label is label] for label in (True, False)]
        count = min(len(classes[0]), len(classes[1]), cap or len(group))
        kept += [t for members in classes for t in draw.sample(members, count)]
    return kept


def split_by_problem(triplets: Sequence[Triplet], heldout: int, seed: int) -> tuple[list[Triplet], list[Triplet]]:
    """(train, held-out): whole problems are held out, so that no problem of the one is in the other."""
    groups = list(by_problem(triplets).values())
    random.Random(seed).shuffle(groups)
    train = [t for group in groups[heldout:] for t in group]
    random.Random(seed).shuffle(train)
    return train, [t for group in groups[:heldout] for t in group]


def shuffled_labels(triplets: Sequence[Triplet], seed: int) -> list[Triplet]:
    """The control: the same triplets with their labels permuted, so that a label says nothing about its solution."""
    labels = [triplet.label for triplet in triplets]
    random.Random(seed).shuffle(labels)
    return [replace(triplet, label=label) for triplet, label in zip(triplets, labels, strict=True)]
