"""Figures of the data card, all of the rows that are really in the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from data.balancing import Places, by_problem, pass_rates
from data.baselines import Columns, majority_answers
from data.candidate_store import CandidateStore
from data.identity import label_of
from data.labelling import View
from data.normalised_tokens import normalised_tokens
from rewards.auditing.second_grader import second_opinion

# Samples are evenly spaced, so that they are the same in every run.
SECOND_GRADED, SPELT = 2000, 20_000
BINS = 10
EXAMPLES = 10
# A majority of fewer responses says little about the gold answer.
LEAST_RESPONSES, MAJORITY = 4, 0.5


def evenly(places: Places, count: int) -> Places:
    """At most ``count`` of the places, evenly spaced."""
    return places if len(places) <= count else places[np.linspace(0, len(places) - 1, count).astype(np.int64)]


def lengths_by_class(kept: Places, columns: Columns) -> dict[str, dict[str, float]]:
    """Mean and quantiles of the characters shown, by class."""
    statistics = {}
    for name, label in (("right", True), ("wrong", False)):
        lengths = columns.length[kept[columns.label[kept] == label]]
        if len(lengths):
            low, middle, high = np.quantile(lengths, [0.1, 0.5, 0.9])
            statistics[name] = {
                "mean": float(lengths.mean()),
                "10 %": float(low),
                "median": float(middle),
                "90 %": float(high),
            }
    return statistics


def difficulty(kept: Places, usable: Places, columns: Columns) -> dict[str, list[int]]:
    """Problems by pass rate in ten bins of equal width: of all usable responses, and of the problems kept.

    A pass rate of 1 lies in the last bin.
    """
    rates = pass_rates(usable, columns.problem, columns.label)
    # Kept rows are balanced, so the pass rate of kept rows would always be 0.5.
    of_kept = rates[np.unique(columns.problem[kept])]
    edges = np.linspace(0, 1, BINS + 1)
    return {
        "all problems": np.histogram(rates[~np.isnan(rates)], edges)[0].tolist(),
        "problems kept": np.histogram(of_kept, edges)[0].tolist(),
    }


def second_grader(kept: Places, store: CandidateStore, columns: Columns, view: View) -> dict[str, Any]:
    """Labels that a second grader denies, on a sample. Answers that this grader cannot read count as unread."""
    graded, denied = 0, 0
    examples: list[str] = []
    sample = evenly(np.sort(kept), SECOND_GRADED)
    for place in sample.tolist():
        problem = store.problems.read(store.problem[place])
        answer = view.answer(store.response(place), problem.text)
        opinion = second_opinion(gold=problem.gold, answer=str(answer)) if problem.gold and answer else None
        if opinion is None:
            continue
        graded += 1
        if opinion != bool(columns.label[place]):
            denied += 1
            if len(examples) < EXAMPLES:
                gold = str(problem.gold)[:40]
                examples.append(f"{label_of(problem)[:40]}: gold {gold!r}, answer {str(answer)[:40]!r}")
    return {"sampled": len(sample), "graded": graded, "denied": denied, "examples": examples}


def majority_against_gold(usable: Places, store: CandidateStore, columns: Columns) -> dict[str, Any]:
    """Problems whose majority answer is labelled wrong. The gold answer of such a problem may be wrong."""
    answers, shares = majority_answers(usable, columns)
    found, judged = 0, 0
    examples: list[str] = []
    for group in by_problem(usable, columns.problem):
        problem = columns.problem[group[0]]
        if len(group) < LEAST_RESPONSES or shares[problem] <= MAJORITY:
            continue
        judged += 1
        common = group[columns.answer[group] == answers[problem]]
        if not columns.label[common].any():
            found += 1
            if len(examples) < EXAMPLES:
                examples.append(label_of(store.problems.read(int(problem)))[:40])
    return {"problems with a majority": judged, "labelled wrong": found, "examples": examples}


def near_duplicates(kept: Places, store: CandidateStore, columns: Columns, view: View) -> dict[str, int]:
    """Problems and responses that are equal up to spelling, and problems that are equal up to numbers too."""
    problems = evenly(np.unique(columns.problem[kept]), SPELT)
    texts = [normalised_tokens(store.problems.read(place).text) for place in problems.tolist()]
    without_numbers = [["0" if token.isdigit() else token for token in text] for text in texts]
    responses: Counter[tuple[int, int]] = Counter()
    sample = evenly(np.sort(kept), SPELT)
    for place in sample.tolist():
        tokens = tuple(normalised_tokens(view.shown(store.response(place))))
        # A hash in place of the tokens keeps the counter small.
        responses[int(columns.problem[place]), hash(tokens)] += 1
    return {
        "problems looked at": len(texts),
        "problems equal up to spelling": _repeated(texts),
        "problems equal up to spelling and numbers": _repeated(without_numbers),
        "responses looked at": len(sample),
        "responses equal up to spelling": sum(count - 1 for count in responses.values()),
    }


def _repeated(texts: Sequence[Sequence[str]]) -> int:
    return len(texts) - len({tuple(text) for text in texts})


def by_name(kept: Places, names: dict[str, int], column: Sequence[int], columns: Columns) -> dict[str, dict[str, int]]:
    """Right and wrong rows of each model or source, the largest first."""
    codes = np.asarray(column)[kept]
    truth = columns.label[kept]
    rows = {
        name or "(not named)": {
            "right": int(np.sum(truth & (codes == code))),
            "wrong": int(np.sum(~truth & (codes == code))),
        }
        for name, code in names.items()
    }
    return dict(sorted(rows.items(), key=lambda item: (-sum(item[1].values()), item[0])))
