"""How far a judge gets without judging: by the answer string alone, by the length alone.

Logged beside the judge's own accuracy. A baseline well over 0.5 says that the data leak the label; a judge whose
verdicts agree with a baseline far more than its accuracy explains has learnt the shortcut.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from data.balanced_accuracy import mean_recall


@dataclass(frozen=True)
class Judgement:
    """One judged solution: label, final answer, length (any unit), and the verdict if there was one."""

    label: bool
    answer: str
    length: int
    verdict: bool | None


def class_statistics(rows: Sequence[Judgement]) -> dict[str, float]:
    """Count, accuracy and missing verdicts by class, and balanced accuracy.

    A class without rows is absent. Balanced accuracy is absent too where a class is absent.
    """
    statistics: dict[str, float] = {}
    for label, name in ((True, "correct"), (False, "wrong")):
        verdicts = [row.verdict for row in rows if row.label is label]
        if verdicts:
            statistics[f"{name}/count"] = len(verdicts)
            statistics[f"{name}/accuracy"] = verdicts.count(label) / len(verdicts)
            statistics[f"{name}/no_verdict"] = verdicts.count(None) / len(verdicts)
    balanced = mean_recall(statistics.get("correct/accuracy"), statistics.get("wrong/accuracy"))
    return statistics | ({} if math.isnan(balanced) else {"balanced_accuracy": balanced})


def shortcut_statistics(rows: Sequence[Judgement]) -> dict[str, float]:
    """Balanced accuracy of both baselines on ``rows``, and how often the judge's verdicts agree with them."""
    statistics: dict[str, float] = {}
    for name, guesses in (("answer_only", answer_only(rows)), ("length_only", length_only(rows))):
        as_judge = [
            Judgement(row.label, row.answer, row.length, guess) for row, guess in zip(rows, guesses, strict=True)
        ]
        balanced = class_statistics(as_judge).get("balanced_accuracy")
        given = [(row.verdict, guess) for row, guess in zip(rows, guesses, strict=True) if row.verdict is not None]
        if balanced is not None:
            statistics[f"{name}/balanced_accuracy"] = balanced
        if given:
            statistics[f"{name}/agreement"] = sum(verdict == guess for verdict, guess in given) / len(given)
    return statistics


def answer_only(rows: Sequence[Judgement]) -> list[bool]:
    """For each row the commoner label of the *other* rows with its answer string, else of all other rows."""
    labels: dict[str, Counter[bool]] = defaultdict(Counter)
    for row in rows:
        labels[row.answer][row.label] += 1
    total: Counter[bool] = sum(labels.values(), Counter())
    guesses = []
    for row in rows:
        # A row's own label is taken out, since the guess must not see the label.
        votes = labels[row.answer] - Counter([row.label])
        guesses.append(_majority(votes if votes[True] != votes[False] else total - Counter([row.label])))
    return guesses


def _majority(votes: Counter[bool]) -> bool:
    return votes[True] > votes[False]


def length_only(rows: Sequence[Judgement]) -> list[bool]:
    """For each half of the rows (even, odd places) the other half's best length threshold, in either direction."""
    guesses = [False] * len(rows)
    for half in (0, 1):
        threshold, longer_is_correct = _best_threshold(rows[1 - half :: 2])
        for index in range(half, len(rows), 2):
            guesses[index] = (rows[index].length > threshold) is longer_is_correct
    return guesses


def _best_threshold(rows: Sequence[Judgement]) -> tuple[int, bool]:
    """Threshold and direction of the highest balanced accuracy; one sweep over the sorted lengths."""
    ordered = sorted(rows, key=lambda row: row.length)
    # A half of the rows may lack a class, and the threshold is needed all the same.
    totals = {label: max(1, sum(row.label is label for row in rows)) for label in (True, False)}
    best, choice, below = -1.0, (0, True), {True: 0, False: 0}
    for index, row in enumerate(ordered):
        below[row.label] += 1
        # A threshold cannot part rows of equal length.
        if index + 1 < len(ordered) and ordered[index + 1].length == row.length:
            continue
        lean = below[False] / totals[False] - below[True] / totals[True]
        if abs(lean) > best:
            best, choice = abs(lean), (row.length, lean >= 0)
    return choice
