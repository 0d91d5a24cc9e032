"""Two evaluations of the same items, paired by problem: the numbers of a comparison.

    ours = select(read_records(a / "samples.jsonl"), "generate")
    theirs = select(read_records(b / "samples.jsonl"), "generate")
    paired(ours, theirs, limit=1024).difference.value      # accuracy of ours minus accuracy of theirs

The caller sees to equal conditions of both arms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from data.problem_means import problem_means
from judgerlvr.evaluation.caps import Curve, cap_curve
from judgerlvr.evaluation.intervals import NOTHING, Estimate, Shares, bootstrap, difference_interval, share_interval
from judgerlvr.evaluation.permutation import PermutationTest, permutation_test
from judgerlvr.evaluation.records import Record
from rewards.errors import InputError
from rewards.wording import counted

# Records of one arm by problem.
ByProblem = Mapping[str, Sequence[Record]]
# A problem has flipped if the accuracy of its samples moved across one half.
HALF = 0.5


@dataclass(frozen=True)
class Arm:
    """One side of a comparison. ``tokens`` is the mean length over problems, nan where the records have no lengths."""

    samples: int
    accuracy: Estimate
    tokens: Estimate
    cut: int
    curve: Curve | None


@dataclass(frozen=True)
class Lengths:
    """Tokens of right responses on the problems that both arms solve at least once.

    ``ours`` and ``theirs`` are means over problems of the mean length. ``ratio`` is the geometric mean over problems of
    ours by theirs, 1 for equal lengths.
    """

    problems: int
    ours: Estimate
    theirs: Estimate
    ratio: Estimate


@dataclass(frozen=True)
class Comparison:
    """Ours against theirs over the items of both. A difference is ours minus theirs, and problems weigh the same.

    ``tokens`` is the relative change of the mean tokens, -0.4 for 40 % fewer. ``gained`` and ``lost`` are problem ids.
    ``area`` is the difference of the areas under the curves of accuracy at token caps. ``left_out`` counts items that
    one arm alone has, ours first.
    """

    problems: int
    ours: Arm
    theirs: Arm
    difference: Estimate
    test: PermutationTest
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    tokens: Estimate
    area: Estimate
    both_solved: Lengths | None
    left_out: tuple[int, int]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def select(records: Sequence[Record], kind: str = "generate", greedy: bool = False) -> list[Record]:
    """The records of one kind, either the greedy ones or all others."""
    return [record for record in records if record.kind == kind and (record.decoding == "greedy") == greedy]


def paired(ours: Sequence[Record], theirs: Sequence[Record], limit: int | None = None) -> Comparison:
    """Compare the records of two arms over the items that both have. Each arm has one set, kind and decoding.

    Items are matched by id. The id is a hash of the problem, and for judge prompts also of the shown solution.
    ``limit`` is the token limit of the responses, and the curves end there. Without ``limit`` there are no curves.
    Without a shared item every number is nan.

    Raises:
        InputError: an item of both belongs to another problem in ``theirs``.
    """
    shared = {record.id for record in ours} & {record.id for record in theirs}
    _check_problems(ours, theirs, shared)
    a, b = by_problem(ours, shared), by_problem(theirs, shared)
    problems = sorted(a)
    one, two = scores_of(a, problems), scores_of(b, problems)
    gained, lost = _flips(problems, one, two)
    return Comparison(
        problems=len(problems),
        ours=_arm(a, one, limit),
        theirs=_arm(b, two, limit),
        difference=difference_interval(one, two),
        test=permutation_test(one.values - two.values, unit=_unit(one, two)),
        gained=gained,
        lost=lost,
        tokens=_change(a, b, problems),
        area=_area(a, b, problems, limit),
        both_solved=lengths_on_both_solved(a, b),
        left_out=(len({r.id for r in ours} - shared), len({r.id for r in theirs} - shared)),
    )


def _check_problems(ours: Sequence[Record], theirs: Sequence[Record], shared: set[str]) -> None:
    one, two = ({record.id: record.problem_id for record in arm if record.id in shared} for arm in (ours, theirs))
    if others := sum(one[item] != two[item] for item in shared):
        problem = f"{others} of {counted(len(shared), 'item')} of both belong to other problems in theirs"
        raise InputError(problem, "evaluate both with the same version on the same files")


def by_problem(records: Sequence[Record], items: set[str]) -> dict[str, list[Record]]:
    """The records of the given items, by problem."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        if record.id in items:
            groups.setdefault(record.problem_id, []).append(record)
    return groups


def scores_of(arm: ByProblem, problems: Sequence[str]) -> Shares:
    """The accuracy and the number of samples of each problem."""
    rows = [(record.score, place) for place, problem in enumerate(problems) for record in arm[problem]]
    # Zeros in front keep the places in order, because problem_means sorts names as text.
    return Shares(*problem_means([score for score, _ in rows], [f"{place:09}" for _, place in rows]))


def _unit(one: Shares, two: Shares) -> float:
    """The step of which every difference of two accuracies is a multiple."""
    counts = {int(count) for shares in (one, two) for count in shares.samples}
    return 1 / math.lcm(*counts) if counts else 1.0


def _flips(problems: Sequence[str], one: Shares, two: Shares) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(problems that only ``one`` solves, problems that only ``two`` solves), by more than half of the samples."""
    a, b = one.values > HALF, two.values > HALF
    gained = tuple(problem for problem, flipped in zip(problems, a & ~b, strict=True) if flipped)
    return gained, tuple(problem for problem, flipped in zip(problems, b & ~a, strict=True) if flipped)


def _arm(arm: ByProblem, scores: Shares, limit: int | None) -> Arm:
    records = [record for group in arm.values() for record in group]
    return Arm(
        samples=len(records),
        accuracy=share_interval(scores),
        tokens=_mean([mean_tokens(group) for group in arm.values()]),
        cut=sum(record.finish_reason == "length" for record in records),
        curve=cap_curve(list(arm.values()), limit) if limit and has_lengths(records) else None,
    )


def has_lengths(records: Sequence[Record]) -> bool:
    return bool(records) and all(record.tokens is not None for record in records)


def mean_tokens(records: Sequence[Record]) -> float:
    """Mean length of one problem's responses, nan where a length is unknown."""
    return float(np.mean([math.nan if record.tokens is None else record.tokens for record in records]))


def _mean(values: Sequence[float]) -> Estimate:
    """The mean over problems with its bootstrap interval, nan where a value is missing."""
    if not values or any(map(math.isnan, values)):
        return NOTHING
    return bootstrap(np.array(values)[:, None], lambda totals: totals[..., 0] / len(values))


def _change(a: ByProblem, b: ByProblem, problems: Sequence[str]) -> Estimate:
    lengths = np.array([[mean_tokens(a[problem]), mean_tokens(b[problem])] for problem in problems])
    if not problems or np.isnan(lengths).any() or not lengths[:, 1].any():
        return NOTHING
    return bootstrap(lengths, lambda totals: totals[..., 0] / totals[..., 1] - 1)


def _area(a: ByProblem, b: ByProblem, problems: Sequence[str], limit: int | None) -> Estimate:
    if not limit or not problems or not all(has_lengths(arm[problem]) for arm in (a, b) for problem in problems):
        return NOTHING
    one, two = (Shares(_areas(arm, problems, limit), scores_of(arm, problems).samples) for arm in (a, b))
    return difference_interval(one, two)


def _areas(arm: ByProblem, problems: Sequence[str], limit: int) -> Any:
    return np.array([cap_curve([arm[problem]], limit).area for problem in problems])


def lengths_on_both_solved(a: ByProblem, b: ByProblem) -> Lengths | None:
    """Lengths of right responses where both arms have one. None without such a problem, or without lengths."""
    pairs = []
    for problem in sorted(a.keys() & b.keys()):
        right = [[r for r in arm[problem] if r.score == 1.0] for arm in (a, b)]
        if all(map(has_lengths, right)):
            pairs.append([mean_tokens(records) for records in right])
    if not pairs:
        return None
    lengths = np.maximum(np.array(pairs), 1.0)  # a response of no token counts as one
    # In logarithms, so that twice as long and half as long cancel.
    logs = _mean(np.log(lengths[:, 0] / lengths[:, 1]).tolist())
    ratio = Estimate(math.exp(logs.value), math.exp(logs.low), math.exp(logs.high))
    return Lengths(len(pairs), _mean(lengths[:, 0].tolist()), _mean(lengths[:, 1].tolist()), ratio)
