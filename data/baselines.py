"""What a judge could score without judging. Near 0.5 is what a judge set should give.

All columns are parallel. ``kept`` are the places of the judge set. ``usable`` are the places of all labelled responses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.balanced_accuracy import balanced_accuracy_of
from data.balancing import Labels, Places, Problems, by_problem


@dataclass(frozen=True)
class Columns:
    """What baselines look at: problem, label, length in characters, digest of the answer."""

    problem: Problems
    label: Labels
    length: NDArray[np.int32]
    answer: NDArray[np.uint64]


def either_way(score: float) -> float:
    """A shortcut works as well upside down."""
    return max(score, 1 - score)


def baselines(kept: Places, usable: Places, columns: Columns, halves: NDArray[np.bool_]) -> dict[str, float]:
    """Balanced accuracy by name. ``halves`` divides the problems in two for what is learnt on other problems."""
    truth = columns.label[kept]
    return {
        "majority class": balanced_accuracy_of(truth, np.ones(len(kept), dtype=bool)),
        "longer response": either_way(balanced_accuracy_of(truth, _longer(kept, columns))),
        "majority answer": balanced_accuracy_of(truth, _majority_answer(kept, usable, columns)),
        "answer string": _answer_string(kept, columns, halves),
    }


def _longer(kept: Places, columns: Columns) -> NDArray[np.bool_]:
    """Longer than the median response of its problem."""
    middle = np.zeros(int(columns.problem.max(initial=-1)) + 1)
    for group in by_problem(kept, columns.problem):
        middle[columns.problem[group[0]]] = np.median(columns.length[group])
    return columns.length[kept] > middle[columns.problem[kept]]


def majority_answers(usable: Places, columns: Columns) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
    """(digest of the commonest answer, its share of the responses) by problem. Of two as common the first counts."""
    count = int(columns.problem.max(initial=-1)) + 1
    answers, shares = np.zeros(count, dtype=np.uint64), np.zeros(count)
    for group in by_problem(usable, columns.problem):
        values, first, times = np.unique(columns.answer[group], return_index=True, return_counts=True)
        # np.unique sorts by digest, and the order of digests means nothing. Ties go to the earlier response.
        best = np.lexsort((first, -times))[0]
        place = columns.problem[group[0]]
        answers[place], shares[place] = values[best], times[best] / len(group)
    return answers, shares


def _majority_answer(kept: Places, usable: Places, columns: Columns) -> NDArray[np.bool_]:
    """The answer that most candidates of the problem gave."""
    answers, _ = majority_answers(usable, columns)
    return columns.answer[kept] == answers[columns.problem[kept]]


def _answer_string(kept: Places, columns: Columns, halves: NDArray[np.bool_]) -> float:
    """Label that the same answer string usually has, learnt on one half of the problems, tested on the other half."""
    scores = []
    side = halves[columns.problem[kept]]
    for half in (False, True):
        # Problems are parted, not rows, so that a problem never teaches the labels of the same problem.
        learn, test = kept[side == half], kept[side != half]
        names, codes = np.unique(columns.answer[learn], return_inverse=True)
        votes = np.bincount(codes, weights=np.where(columns.label[learn], 1, -1), minlength=len(names))
        # An unseen answer, or an answer with equal votes, counts as wrong.
        liked = names[votes > 0]
        scores.append(balanced_accuracy_of(columns.label[test], np.isin(columns.answer[test], liked)))
    # A half that lacks a class has no balanced accuracy.
    known = [score for score in scores if not math.isnan(score)]
    return sum(known) / len(known) if known else math.nan
