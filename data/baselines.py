"""What a judge could score without judging; near 0.5 is what a judge set should give."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean, median

from data.balanced_accuracy import balanced_accuracy_of
from data.balancing import by_problem
from data.labelling import Triplet

Predict = Callable[[Triplet], bool]


def balanced_accuracy(triplets: Sequence[Triplet], predict: Predict) -> float:
    """Balanced accuracy of a prediction. nan where a class is absent."""
    return balanced_accuracy_of([t.label for t in triplets], [predict(t) for t in triplets])


def either_way(score: float) -> float:
    """A shortcut works as well upside down."""
    return max(score, 1 - score)


def baselines(triplets: Sequence[Triplet], candidates: Sequence[Triplet]) -> dict[str, float]:
    """Balanced accuracy by name; ``candidates`` are all labelled responses, before balancing."""
    return {
        "majority class": balanced_accuracy(triplets, lambda _: True),
        "longer response": either_way(balanced_accuracy(triplets, _longer(triplets))),
        "majority answer": balanced_accuracy(triplets, _majority_answer(candidates)),
        "answer string": _answer_string(triplets),
    }


def _longer(triplets: Sequence[Triplet]) -> Predict:
    """Longer than its problem's median response."""
    middle = {name: median(len(t.response) for t in group) for name, group in by_problem(triplets).items()}
    return lambda t: len(t.response) > middle[t.problem.id]


def _majority_answer(candidates: Sequence[Triplet]) -> Predict:
    """The answer that most candidates of the problem gave."""
    groups = by_problem(candidates).items()
    common = {name: Counter(t.answer for t in group).most_common(1)[0][0] for name, group in groups}
    return lambda t: t.answer == common[t.problem.id]


def _answer_string(triplets: Sequence[Triplet]) -> float:
    """Label that the same answer string usually has, learnt on one half of the problems, tested on the other."""
    halves: dict[int, list[Triplet]] = defaultdict(list)
    for triplet in triplets:
        halves[hashlib.sha256(triplet.problem.id.encode()).digest()[0] % 2].append(triplet)
    scores = []
    for learn, test in ((halves[0], halves[1]), (halves[1], halves[0])):
        votes: dict[str | None, int] = defaultdict(int)
        for triplet in learn:
            votes[triplet.answer] += 1 if triplet.label else -1
        scores.append(balanced_accuracy(test, lambda t, votes=votes: votes.get(t.answer, 0) > 0))  # type: ignore[misc]
    return fmean(scores)
