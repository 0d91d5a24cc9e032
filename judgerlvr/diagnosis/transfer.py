"""What judging taught solving: the same cheap samples of the model before and after a judge stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from judgerlvr.diagnosis.cases import Case
from judgerlvr.diagnosis.draws import NO_RECHECKS, Drawn
from judgerlvr.diagnosis.measures import balanced, lengths_of, shares_of
from judgerlvr.evaluation import metrics
from judgerlvr.evaluation.intervals import Estimate, difference_interval, share_interval
from judgerlvr.evaluation.records import Record
from judgerlvr.sampling.samples import CUT, OVERSIZE

# The name that transfer would have among the inputs of a measured case.
TRANSFER = "pass@1 after judging less before"


@dataclass(frozen=True)
class Side:
    """One model on the measured problems, at temperature 1.

    ``well_formed`` is the share of solutions that end and give a readable answer. ``truncated`` is the share that the
    limit cut. ``premium`` is natural accuracy less accuracy without rechecks. A part is None where it was not drawn.
    """

    pass_at_1: Estimate
    well_formed: Estimate
    truncated: Estimate
    tokens: Estimate
    premium: Estimate | None
    balanced_accuracy: Estimate | None
    tokens_a_verdict: Estimate | None


@dataclass(frozen=True)
class Transfer:
    """Both sides on the same problems and the same judge prompts. ``gain`` is pass@1 after less before, paired."""

    problems: int
    samples: int
    verdicts: int
    before: Side
    after: Side
    gain: Estimate


def transfer_of(before: Drawn, after: Drawn, problems: frozenset[str]) -> Transfer:
    """Compare on the problems of these ids, which both must have solved."""
    solved = [_of(drawn.records("generate"), problems) for drawn in (before, after)]
    return Transfer(
        problems=len({record.problem_id for record in solved[0]}),
        samples=len(solved[0]),
        verdicts=len(_of(before.records("judge"), problems)),
        before=side_of(before, problems),
        after=side_of(after, problems),
        gain=difference_interval(shares_of(solved[1]), shares_of(solved[0])),
    )


def side_of(drawn: Drawn, problems: frozenset[str]) -> Side:
    solutions, verdicts = (_of(drawn.records(kind), problems) for kind in ("generate", "judge"))
    without = _of(drawn.records("generate", forced=NO_RECHECKS), problems)
    natural = shares_of(solutions)
    return Side(
        pass_at_1=share_interval(natural),
        well_formed=_share(solutions, [is_well_formed(record) for record in solutions]),
        truncated=_share(solutions, [record.finish_reason == CUT for record in solutions]),
        tokens=metrics.mean_length(*lengths_of(solutions)),
        premium=difference_interval(natural, shares_of(without)) if without else None,
        balanced_accuracy=balanced(verdicts) if verdicts else None,
        tokens_a_verdict=metrics.mean_length(*lengths_of(verdicts)) if verdicts else None,
    )


def is_well_formed(record: Record) -> bool:
    """Whether a solution ended and gave a readable answer."""
    return record.answer is not None and record.finish_reason not in (CUT, OVERSIZE)


def why_no_prediction(cases: Sequence[Case]) -> str:
    """Why transfer predicts nothing, from the inputs that the measured cases have."""
    known = sum(TRANSFER in case.inputs for case in cases)
    if known:
        return f"{known} of {len(cases)} measured cases have transfer as an input, and no prediction from it is scored"
    return (
        f"none of the {len(cases)} measured cases has transfer as an input; their inputs are of bases before training"
    )


def _of(records: Sequence[Record], problems: frozenset[str]) -> list[Record]:
    return [record for record in records if record.problem_id in problems]


def _share(records: Sequence[Record], flags: Sequence[bool]) -> Estimate:
    return metrics.accuracy(np.array(flags, dtype=np.float64), [record.problem_id for record in records])
