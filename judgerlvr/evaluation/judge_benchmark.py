"""A judge measured on labelled responses: by group, by calibration, and by votes that verdicts weigh.

``verdicts`` are judge records. ``solutions`` are graded generate records, which say of each judged response the source
model (the set), the length, and the share of right responses to its problem.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from data.labelling import View, judge_id
from judgerlvr.evaluation import metrics
from judgerlvr.evaluation.comparison import mean_tokens
from judgerlvr.evaluation.intervals import NOTHING, Estimate, Shares, difference_interval, share_interval
from judgerlvr.evaluation.records import Record
from judgerlvr.evaluation.voting import Ballot, answer_of, majority_at_k, weighted_at_k

VIEWS = (View("solution"), View("full_response"))
BANDS = 4  # groups of length, and of difficulty
BINS = 10  # of the share of "right" verdicts, where a prompt has more verdicts


def ids_of(record: Record) -> list[str]:
    """The ids under which a response may have been judged."""
    return [judge_id(record.problem_id, view.shown(record.response)) for view in VIEWS]


@dataclass(frozen=True)
class Judged:
    """A judge record with the judged response."""

    verdict: Record
    solution: Record


def join(verdicts: Sequence[Record], solutions: Sequence[Record]) -> list[Judged]:
    """The judge records whose response is among the solutions, in order."""
    # In reverse, so that the first of several equal responses stays.
    known = {item: record for record in reversed(solutions) for item in ids_of(record)}
    return [Judged(record, known[record.id]) for record in verdicts if record.id in known]


@dataclass(frozen=True)
class GroupRow:
    """One group. ``judged`` counts verdicts, ``right`` the verdicts on right responses.

    A group of one class has no balanced accuracy. ``accuracy`` is the share of true verdicts.
    """

    by: str
    group: str
    judged: int
    right: int
    no_verdict: int
    accuracy: Estimate
    balanced_accuracy: Estimate


def by_group(judged: Sequence[Judged], solutions: Sequence[Record]) -> list[GroupRow]:
    """All, then by source model, by quarter of length, and by difficulty of the problem."""
    length, hardness = length_bands(judged), difficulty(solutions)
    groupings: dict[str, Callable[[Judged], str]] = {
        "all": lambda pair: "all",
        "source model": lambda pair: pair.solution.set,
        "length": lambda pair: length(pair.solution),
        "difficulty": lambda pair: hardness[pair.solution.problem_id],
    }
    rows = []
    for by, name_of in groupings.items():
        groups: dict[str, list[Record]] = {}
        for pair in judged:
            groups.setdefault(name_of(pair), []).append(pair.verdict)
        rows += [group_row(by, name, groups[name]) for name in sorted(groups)]
    return rows


def group_row(by: str, group: str, records: Sequence[Record]) -> GroupRow:
    labels, verdicts = [bool(r.label) for r in records], [r.verdict for r in records]
    sums = metrics.cluster_sums(metrics.verdict_columns(labels, verdicts), [r.problem_id for r in records])
    accuracy = metrics.accuracy(np.array([r.score for r in records]), [r.problem_id for r in records])
    balanced = metrics.balanced_accuracy_interval(sums)
    return GroupRow(by, group, len(records), sum(labels), verdicts.count(None), accuracy, balanced)


def length_bands(judged: Sequence[Judged]) -> Callable[[Record], str]:
    """The quarter of a response by length: in tokens if all responses have tokens, else in characters."""
    records = list({id(pair.solution): pair.solution for pair in judged}.values())
    in_tokens = all(record.tokens is not None for record in records)

    def size(record: Record) -> int:
        return record.tokens or 0 if in_tokens else len(record.response)

    edges = np.quantile([size(record) for record in records], [0.25, 0.5, 0.75]).round().astype(int).tolist()
    unit = "tokens" if in_tokens else "characters"
    names = [f"1: up to {edges[0]} {unit}", *(f"{i + 2}: up to {edges[i + 1]}" for i in (0, 1)), f"4: over {edges[2]}"]
    return lambda record: names[int(np.searchsorted(edges, size(record)))]


def difficulty(solutions: Sequence[Record]) -> dict[str, str]:
    """The band of each problem by the share of right responses."""
    scores: dict[str, list[float]] = {}
    for record in solutions:
        scores.setdefault(record.problem_id, []).append(record.score)
    return {problem: _band(float(np.mean(values))) for problem, values in scores.items()}


def _band(share: float) -> str:
    # A share of 1 belongs to the last band.
    place = min(int(share * BANDS), BANDS - 1)
    return f"{place / BANDS:.0%} to {(place + 1) / BANDS:.0%} of the responses right"


@dataclass(frozen=True)
class Calibration:
    """How far the share of "right" verdicts of a prompt is the chance that the response is right.

    ``bins`` are (mean share of verdicts, share of right responses, prompts). ``error`` is the mean distance of both,
    weighted by prompts. ``brier`` is the mean squared error of the share. All depend on the balance of the labels.
    """

    bins: tuple[tuple[float, float, int], ...]
    error: float
    brier: float


def says_right(verdicts: Sequence[Record]) -> dict[str, float]:
    """For each judge prompt the share of verdicts "right". A missing verdict does not say so."""
    said: dict[str, list[bool]] = {}
    for record in verdicts:
        said.setdefault(record.id, []).append(record.verdict is True)
    return {item: float(np.mean(values)) for item, values in said.items()}


def calibration(verdicts: Sequence[Record]) -> Calibration | None:
    """None unless every prompt has at least two verdicts."""
    counts: dict[str, int] = {}
    for record in verdicts:
        counts[record.id] = counts.get(record.id, 0) + 1
    if not counts or min(counts.values()) < 2:
        return None
    shares, labels = says_right(verdicts), {record.id: bool(record.label) for record in verdicts}
    said = np.array([shares[item] for item in labels])
    true = np.array([labels[item] for item in labels], dtype=np.float64)
    levels = min(max(counts.values()), BINS)
    # Shares of few verdicts are multiples of 1/n, and each multiple gets a bin.
    places = np.rint(said * levels).astype(int)
    bins = [
        (float(said[m].mean()), float(true[m].mean()), int(m.sum())) for m in (places == p for p in np.unique(places))
    ]
    error = sum(count * abs(share - right) for share, right, count in bins) / len(said)
    return Calibration(tuple(bins), error, float(np.mean((said - true) ** 2)))


@dataclass(frozen=True)
class VoteRow:
    """Votes of ``k`` samples: accuracy and mean tokens of a problem, judging included in ``weighted_tokens``.

    ``equal_k`` is the most samples whose majority vote costs no more than the weighted vote, at most all samples.
    ``gain`` is the accuracy of the weighted vote minus the accuracy of the majority vote at equal tokens.
    Without token counts ``equal_k`` is None, and the numbers at equal tokens are nan.
    """

    k: int
    majority: Estimate
    majority_tokens: float
    weighted: Estimate
    weighted_tokens: float
    equal_k: int | None
    at_equal_tokens: Estimate
    gain: Estimate


@dataclass(frozen=True)
class Votes:
    """Votes on the problems of which every sample was judged. ``left_out`` counts all other problems."""

    problems: int
    left_out: int
    rows: tuple[VoteRow, ...]


def votes(verdicts: Sequence[Record], solutions: Sequence[Record]) -> Votes:
    """Majority votes against votes that weigh each sample by the share of "right" verdicts, at powers of two.

    ``solutions`` are of one set. The judge's tokens count once for each sample, also where two samples are alike.
    """
    weights, costs = says_right(verdicts), judging_tokens(verdicts)
    groups: dict[str, list[Record]] = {}
    for record in solutions:
        groups.setdefault(record.problem_id, []).append(record)
    judged = {record.problem_id: _ballots(groups[record.problem_id], weights, costs) for record in solutions}
    whole = [(groups[problem], ballots) for problem, ballots in judged.items() if ballots is not None]
    most = min((len(group) for group, _ in whole), default=0)
    ks = sorted({1 << power for power in range(most.bit_length())} | {most}) if most else []
    return Votes(len(whole), len(judged) - len(whole), tuple(vote_row(whole, k, most) for k in ks))


def _ballots(
    records: Sequence[Record], weights: Mapping[str, float], costs: Mapping[str, float]
) -> list[Ballot] | None:
    """Ballots with the tokens of response and verdicts. None unless every sample was judged."""
    found = []
    for record in records:
        item = next((item for item in ids_of(record) if item in weights), None)
        if item is None and record.answer is not None:
            return None
        # A response without an answer casts no vote and needs no verdict.
        weight, cost = (0.0, 0.0) if item is None else (weights[item], costs[item])
        found.append(Ballot(answer_of(record), weight, math.nan if record.tokens is None else record.tokens + cost))
    return found


def judging_tokens(verdicts: Sequence[Record]) -> dict[str, float]:
    """Tokens of all verdicts of a judge prompt."""
    total: dict[str, float] = {}
    for record in verdicts:
        tokens = math.nan if record.tokens is None else record.tokens
        total[record.id] = total.get(record.id, 0.0) + tokens
    return total


def vote_row(whole: Sequence[tuple[Sequence[Record], Sequence[Ballot]]], k: int, most: int) -> VoteRow:
    majority = majority_shares(whole, k)
    chances = np.array([weighted_at_k(ballots, k) for _, ballots in whole])
    weighted = Shares(chances, majority.samples)
    one = float(np.mean([mean_tokens(group) for group, _ in whole]))
    cost = k * float(np.mean([np.mean([ballot.tokens for ballot in ballots]) for _, ballots in whole]))
    equal = min(most, int(cost / one)) if one > 0 and cost > 0 else None
    cheap = majority_shares(whole, equal) if equal else None
    return VoteRow(
        k=k,
        majority=share_interval(majority),
        majority_tokens=k * one,
        weighted=share_interval(weighted),
        weighted_tokens=cost,
        equal_k=equal,
        at_equal_tokens=share_interval(cheap) if cheap else NOTHING,
        gain=difference_interval(weighted, cheap) if cheap else NOTHING,
    )


def majority_shares(whole: Sequence[tuple[Sequence[Record], Sequence[Ballot]]], k: int) -> Shares:
    """maj@k of each problem. n samples hold n / k independent votes of k."""
    answers = [[answer_of(record) for record in group] for group, _ in whole]
    return Shares(
        np.array([majority_at_k(group, k) for group in answers]), np.array([len(group) / k for group in answers])
    )


def benchmark(verdicts: Sequence[Record], solutions: Sequence[Record]) -> dict[str, Any]:
    """All numbers as plain data. ``votes`` are by set of the solutions."""
    judged = join(verdicts, solutions)
    known = [pair.verdict for pair in judged]
    calibrated = calibration(known)
    sets: dict[str, list[Record]] = {}
    for record in solutions:
        sets.setdefault(record.set, []).append(record)
    return {
        "judged": len(known),
        "not_found": len(verdicts) - len(known),
        "groups": [asdict(row) for row in by_group(judged, solutions)],
        "calibration": calibrated and asdict(calibrated),
        "votes": {name: asdict(votes(known, records)) for name, records in sets.items()},
    }
