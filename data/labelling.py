"""Labels by the verifier: which candidate solutions are right."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from data.problems import GradeMany
from data.responses import Candidate
from rewards.extraction.extract import final_answer
from rewards.extraction.thinking import solution_part
from rewards.types import Problem, Reason, Result

# A response without an answer, or whose grading was cut short, is not a wrong solution but none.
UNUSABLE = {Reason.NO_FINAL_ANSWER, Reason.TRUNCATED, Reason.TIMEOUT, Reason.TOO_COMPLEX}


@dataclass(frozen=True)
class Triplet:
    """(problem, solution response, label) of JudgeRLVR section 2.1; ``response`` is what the judge is shown."""

    problem: Problem
    response: str
    answer: str | None
    label: bool
    model: str
    id: str


@dataclass(frozen=True)
class Labelled:
    """Triplets, how many candidates were set aside for which reason, and given labels the verifier denies."""

    triplets: list[Triplet]
    dropped: Counter[str]
    disagreements: list[Candidate]
    compared: int


def label_candidates(
    candidates: Sequence[Candidate], grade_many: GradeMany, view: str = "solution", lenient: bool = False
) -> Labelled:
    """Grade each candidate against its problem and keep the usable ones.

    ``view`` is ``solution`` (the part after the last closing think tag) or ``full_response``; ``lenient`` must be
    the extraction that ``grade_many`` uses.
    """
    results = grade_many([(candidate.problem, candidate.response) for candidate in candidates])
    triplets, dropped, disagreements, compared = [], Counter[str](), [], 0
    for candidate, result in zip(candidates, results, strict=True):
        reason = _unusable(candidate, result)
        if reason:
            dropped[reason] += 1
            continue
        label = result.score == 1.0
        if candidate.label is not None:
            compared += 1
            if candidate.label != label:
                disagreements.append(candidate)
        triplets.append(_triplet(candidate, label, view, lenient))
    return Labelled(triplets, dropped, disagreements, compared)


def _unusable(candidate: Candidate, result: Result) -> str | None:
    if candidate.finish_reason == "length":
        return Reason.TRUNCATED.value
    return result.reason.value if result.reason in UNUSABLE else None


def _triplet(candidate: Candidate, label: bool, view: str, lenient: bool) -> Triplet:
    shown = candidate.response if view == "full_response" else solution_part(candidate.response) or ""
    answer = final_answer(candidate.response, mode="lenient" if lenient else "strict").answer
    digest = hashlib.sha256(f"{candidate.problem.id}\0{shown}".encode()).hexdigest()[:16]
    return Triplet(candidate.problem, shown.strip(), answer, label, candidate.model, f"judge-{digest}")
