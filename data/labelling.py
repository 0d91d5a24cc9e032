"""Labels by the verifier: which candidate solutions are right, and what the judge is shown of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.bounded import bounded
from data.candidate_store import GIVEN_BACK, CandidateStore
from data.problems import GradeMany
from rewards.extraction.extract import answer_in
from rewards.extraction.thinking import solution_part
from rewards.types import Problem, Reason, Result
from rewards.wording import counted

# A response without an answer, or whose grading was cut short, is not a wrong solution but none.
UNUSABLE = {Reason.NO_FINAL_ANSWER, Reason.TRUNCATED, Reason.TIMEOUT, Reason.TOO_COMPLEX}
# A chunk ends at either bound. Long responses alone would fill the memory otherwise.
CHUNK, CHUNK_CHARACTERS = 2048, 16 << 20
# Why a prompt with this problem and shown response cannot be used, or None.
Refuse = Callable[[Problem, str], str | None]
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Triplet:
    """(problem, solution response, label) of JudgeRLVR section 2.1. ``response`` is what the judge is shown."""

    problem: Problem
    response: str
    answer: str | None
    label: bool
    model: str
    id: str


@dataclass(frozen=True)
class View:
    """What the judge is shown: ``solution`` (after the last closing think tag) or ``full_response``.

    ``lenient`` must be the extraction of the grader.
    """

    name: str = "solution"
    lenient: bool = False

    def read(self, response: str, problem_text: str) -> tuple[str, str | None]:
        """(what the judge is shown, the final answer) of a response to a problem."""
        solution = solution_part(response)
        return self._shown(response, solution), self._answer(solution, problem_text)

    def shown(self, response: str) -> str:
        return self._shown(response, solution_part(response))

    def answer(self, response: str, problem_text: str) -> str | None:
        return self._answer(solution_part(response), problem_text)

    def _shown(self, response: str, solution: str | None) -> str:
        return (response if self.name == "full_response" else solution or "").strip()

    def _answer(self, solution: str | None, problem_text: str) -> str | None:
        return answer_in(solution, "lenient" if self.lenient else "strict", problem_text).answer


@dataclass
class LabelTable:
    """Columns parallel to the candidates of a store. Rows that are not usable are zero.

    ``usable`` and ``label`` are bool, ``length`` counts characters of what is shown,
    ``answer`` and ``shown`` are 64-bit digests of the texts, which stand for equality alone.
    """

    usable: NDArray[np.bool_]
    label: NDArray[np.bool_]
    length: NDArray[np.int32]
    answer: NDArray[np.uint64]
    shown: NDArray[np.uint64]
    dropped: Counter[str]
    compared: int = 0
    denied: int = 0
    examples: list[int] | None = None  # places of the first denied labels

    @classmethod
    def empty(cls, count: int) -> LabelTable:
        boolean, number = np.zeros(count, dtype=bool), np.zeros(count, dtype=np.uint64)
        return cls(boolean, boolean.copy(), np.zeros(count, np.int32), number, number.copy(), Counter(), examples=[])


def label_candidates(
    store: CandidateStore,
    grade_many: GradeMany,
    view: View | None = None,
    leave_out: frozenset[int] = frozenset(),
    refuse: Refuse | None = None,
    progress: Progress | None = None,
) -> LabelTable:
    """Grade every candidate against its problem, a chunk at a time.

    Candidates of the problems at the places ``leave_out`` are passed over without a count.
    ``refuse`` names what else makes a prompt unusable.
    """
    view, table = view or View(), LabelTable.empty(len(store))
    rows = (row for row in store if store.problem[row[0]] not in leave_out)
    done, told = 0, 0
    for chunk in bounded(rows, lambda row: len(row[2]), CHUNK, CHUNK_CHARACTERS):
        results = grade_many([(problem, response) for _, problem, response in chunk])
        for (place, problem, response), result in zip(chunk, results, strict=True):
            _enter(table, store, place, problem, response, result, view, refuse)
        done += len(chunk)
        if progress and done - told >= 32 * CHUNK:
            told = done
            progress(f"  labelled {done} of {counted(len(store), 'candidate')}")
    return table


def _enter(
    table: LabelTable,
    store: CandidateStore,
    place: int,
    problem: Problem,
    response: str,
    result: Result,
    view: View,
    refuse: Refuse | None,
) -> None:
    """Write one row of the table, or count why the candidate is set aside."""
    # A cut response is set aside even where the text already holds an answer.
    reason = Reason.TRUNCATED.value if store.cut[place] else _unusable(result)
    shown, answer = ("", None) if reason else view.read(response, problem.text)
    reason = reason or (refuse(problem, shown) if refuse else None)
    if reason:
        table.dropped[reason] += 1
        return
    label = result.score == 1.0
    given = GIVEN_BACK[store.given[place]]
    if given is not None:
        table.compared += 1
        if given != label:
            table.denied += 1
            if table.examples is not None and len(table.examples) < 20:
                table.examples.append(place)
    table.usable[place], table.label[place], table.length[place] = True, label, len(shown)
    table.shown[place], table.answer[place] = _digest(shown), _digest(answer or "")


def _unusable(result: Result) -> str | None:
    return result.reason.value if result.reason in UNUSABLE else None


def _digest(text: str) -> int:
    content = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def judge_id(problem: str, shown: str) -> str:
    """The id of a judge prompt, from the id of the problem and the shown response."""
    digest = hashlib.sha256(f"{problem}\0{shown}".encode("utf-8", "surrogatepass")).hexdigest()
    return f"judge-{digest[:16]}"


def triplet_of(store: CandidateStore, place: int, label: bool, view: View) -> Triplet:
    """The triplet of one candidate, read from disk."""
    problem, response = store.problems.read(store.problem[place]), store.response(place)
    shown, answer = view.read(response, problem.text)
    model = list(store.models)[store.model[place]]
    return Triplet(problem, shown, answer, label, model, judge_id(problem.id, shown))
