"""Votes over the samples of a problem: the majority answer, and votes weighted by a judge's verdicts.

All right responses vote for the same answer, since the grader found each equal to the gold. Wrong answers are the same
answer where the texts are equal. Two spellings of a wrong answer count apart, which favours the right answer. A
response without an answer does not vote. Tied answers share the win evenly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from judgerlvr.evaluation.records import Record
from rewards.wording import counted

RIGHT = "right"
SUBSETS = 1000  # subsets of the samples that a weighted vote is averaged over
SEED = 0
# A vote that no verdict supports still counts as a vote, below all others.
LEAST_WEIGHT = 1e-6


@dataclass(frozen=True)
class Ballot:
    """A sample of a problem: the answer (None for no vote), the weight, and the tokens spent."""

    answer: str | None
    weight: float = 1.0
    tokens: float = 0.0


def answer_of(record: Record) -> str | None:
    """What a response votes for."""
    if record.score == 1.0:
        return RIGHT
    return None if record.answer is None else f"wrong: {' '.join(record.answer.split())}"


def majority_at_k(answers: Sequence[str | None], k: int) -> float:
    """Chance that the most frequent answer of k samples, drawn without replacement, is right. Exact.

    Raises:
        ValueError: there are fewer than k samples.
    """
    if not 1 <= k <= len(answers):
        raise ValueError(f"{k} of {counted(len(answers), 'sample')}")
    counts = Counter(answers)
    right, silent = counts.pop(RIGHT, 0), counts.pop(None, 0)
    # Above the most frequent wrong answer, more votes leave the rivals as they are.
    free = max(counts.values(), default=0) + 1
    ways = {most: _rivals(list(counts.values()), most, k) for most in range(1, free + 1)}
    won = 0.0
    for votes in range(1, min(right, k) + 1):
        for (drawn, ties), number in ways[min(votes, free)].items():
            if drawn <= k - votes:
                won += comb(right, votes) * number * comb(silent, k - votes - drawn) / (1 + ties)
    return won / comb(len(answers), k)


def _rivals(counts: Sequence[int], most: int, room: int) -> dict[tuple[int, int], int]:
    """Ways to draw wrong answers, none more often than ``most``, by (number drawn, answers drawn ``most`` times)."""
    ways = {(0, 0): 1}
    for count in counts:
        after: dict[tuple[int, int], int] = {}
        for (drawn, ties), number in ways.items():
            for votes in range(min(count, most, room - drawn) + 1):
                key = (drawn + votes, ties + (votes == most))
                after[key] = after.get(key, 0) + number * comb(count, votes)
        ways = after
    return ways


def vote(ballots: Sequence[Ballot]) -> float:
    """The share of the win that the right answer gets: 1, 0, or a part where answers tie."""
    totals: dict[str, float] = {}
    for ballot in ballots:
        if ballot.answer is not None:
            totals[ballot.answer] = totals.get(ballot.answer, 0.0) + max(ballot.weight, LEAST_WEIGHT)
    if not totals:
        return 0.0
    best = max(totals.values())
    # Sums of weights round, and a tie must stay a tie.
    winners = [answer for answer, total in totals.items() if total >= best * (1 - 1e-12)]
    return (RIGHT in winners) / len(winners)


def weighted_at_k(ballots: Sequence[Ballot], k: int) -> float:
    """The mean of ``vote`` over subsets of k samples, over all subsets or over ``SUBSETS`` random subsets."""
    # All subsets are exact and cost no more than the random subsets.
    if comb(len(ballots), k) <= SUBSETS:
        subsets = [list(subset) for subset in combinations(range(len(ballots)), k)]
    else:
        rng = np.random.default_rng(SEED)
        subsets = [rng.choice(len(ballots), k, replace=False).tolist() for _ in range(SUBSETS)]
    return float(np.mean([vote([ballots[place] for place in subset]) for subset in subsets]))
