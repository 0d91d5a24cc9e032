"""Problems of a file: read, identified, and checked against each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from data.identity import GIVEN_ID, label_of
from data.importing.faults import RowFault
from data.importing.golds import loses_unit
from data.importing.options import BadRowList, ReadOptions
from data.importing.problem_rows import RowView, parse_problem_row
from data.jsonl import Row
from data.row_files import iter_rows
from rewards.errors import InputError
from rewards.extraction.gold import gold_answers
from rewards.types import Problem, Reason, Result
from rewards.wording import counted

GradeMany = Callable[[Sequence[tuple[Problem, str]]], list[Result]]
DEFAULT = ReadOptions()
SHOWN = 3
# Gold answers graded at a time.
GOLDS = 4096
# Problems whose results are waited for before all others are sent.
FEW = 4


class GoldGrader(Protocol):
    """The part of ``rewards.grading.pool.GraderPool`` that checks golds."""

    @property
    def reads_answers(self) -> bool: ...

    def completion_of(self, answer: str) -> str: ...

    def grade_many(self, pairs: Sequence[tuple[Problem, str]]) -> list[Result]: ...


@dataclass
class ProblemSet:
    """The problems of a source, each once. ``places`` holds the file and row of each problem."""

    source: Path
    problems: list[Problem] = field(default_factory=list)
    places: list[tuple[Path, int]] = field(default_factory=list)
    rows: int = 0
    used: Counter[str] = field(default_factory=Counter)
    unused: Counter[str] = field(default_factory=Counter)
    passed_over: set[str] = field(default_factory=set)  # columns of verl that hold nothing of the problem
    repeated: list[tuple[int, int]] = field(default_factory=list)  # (row, earlier row with the same problem)
    without_unit: list[tuple[int, str, str]] = field(default_factory=list)  # (row, gold as written, gold as read)
    bad: BadRowList = field(default_factory=BadRowList)

    def notes(self) -> list[str]:
        """Lines for the console: columns not shown, repeated problems, units left out, shared ids, bad rows."""
        lines = []
        if self.unused:
            lines.append(f"{self.source}: columns kept for verifiers and not shown: {', '.join(sorted(self.unused))}")
        if self.passed_over:
            lines.append(f"{self.source}: columns passed over: {', '.join(sorted(self.passed_over))}")
        if self.repeated:
            rows = ", ".join(f"{row} (as {earlier})" for row, earlier in self.repeated[:SHOWN])
            lines.append(
                f"{self.source}: {counted(len(self.repeated), 'row')} left out, repeats of a problem: rows {rows}"
            )
        if self.without_unit:
            rows = ", ".join(f"row {row} {gold[:40]!r} as {read!r}" for row, gold, read in self.without_unit[:SHOWN])
            lines.append(
                f"{self.source}: {counted(len(self.without_unit), 'gold')} read without a unit in brackets: {rows}"
            )
        if shared := shared_ids(self.problems):
            lines.append(f"{self.source}: {shared}")
        if self.bad.faults:
            lines.append(f"{self.source}: {counted(len(self.bad.faults), 'row')} dropped: {self.bad.describe()}")
        return lines


def read_problem_set(source: str | Path, options: ReadOptions = DEFAULT) -> ProblemSet:
    """Problems of a source in order. A problem that occurs again with the same gold answer is left out.

    ``need_gold`` is False where the verifier accepts problems without a gold answer.

    Raises:
        InputError: rows cannot be used, or one text has two gold answers. All such rows are named.
            With ``bad_rows="drop"`` the rows are left out.
    """
    found = ProblemSet(Path(source))
    seen: dict[str, int] = {}
    for row, file, number in iter_rows(source):
        found.rows += 1
        try:
            problem, view = parse_row(row, options)
        except RowFault as fault:
            found.bad.add(fault.at(file, number))
            continue
        found.used.update(view.used)
        if loses_unit(view.written_gold):
            found.without_unit.append((number, view.written_gold, problem.gold or ""))
        found.passed_over |= view.passed_over()
        found.unused.update(name for name in problem.meta if name in view.row and name != GIVEN_ID)
        if (place := seen.get(problem.id)) is None:
            seen[problem.id] = len(found.problems)
            found.problems.append(problem)
            found.places.append((file, number))
        elif found.problems[place].gold == problem.gold:
            found.repeated.append((number, found.places[place][1]))
        else:
            text = f"row {found.places[place][1]} has the same text and another gold answer"
            found.bad.add(InputError(text, "keep the right one of the two", file=file, row=number, field="gold"))
    if options.bad_rows == "stop":
        found.bad.raise_all()
    # With every row dropped, the reasons say more than an empty set.
    if not found.problems:
        found.bad.raise_all()
    return found


def read_problems(source: str | Path, options: ReadOptions = DEFAULT) -> list[Problem]:
    """The problems of ``read_problem_set`` alone."""
    return read_problem_set(source, options).problems


def parse_row(row: Row, options: ReadOptions = DEFAULT) -> tuple[Problem, RowView]:
    """One row as a problem, with the columns that were read.

    Raises:
        RowFault: the row cannot be used.
    """
    view = RowView.of(row, options.columns)
    return parse_problem_row(view, options.need_gold), view


def shared_ids(problems: Iterable[Problem]) -> str:
    """A line about ids that stand at two texts, or "" where there are none. Ids are labels alone."""
    texts: dict[str, list[Problem]] = {}
    for problem in problems:
        if given := problem.meta.get(GIVEN_ID):
            texts.setdefault(str(given), []).append(problem)
    shared = {given: group for given, group in texts.items() if len({problem.id for problem in group}) > 1}
    if not shared:
        return ""
    shown = ", ".join(repr(given[:40]) for given in list(shared)[:SHOWN])
    return f"{counted(len(shared), 'id')} at two texts or more, taken as labels ({shown}, ...)"


def check_apart(train: Sequence[Problem], heldout: Sequence[Problem]) -> None:
    """Raise an InputError where a problem is trained on and held out at once."""
    known = {problem.id for problem in heldout}
    shared = [problem for problem in train if problem.id in known]
    if shared:
        shown = ", ".join(label_of(problem)[:60] for problem in shared[:SHOWN])
        problem = f"{len(shared)} of {len(heldout)} held-out problems are training problems too ({shown}, ...)"
        raise InputError(problem, "leave these problems out of one of the two", field="data.heldout")


def bad_golds(problems: Sequence[Problem], grader: GoldGrader) -> dict[int, str]:
    """Places of the golds that, given as an answer, are not graded as correct, each with the grader's reason.

    Problems without a gold answer pass, and so does everything under a verifier that reads more than the answer.
    The problems may lie on disk.
    """
    bad: dict[int, str] = {}
    check_answering(problems[:FEW], grader)
    if not grader.reads_answers:
        return bad
    for start in range(0, len(problems), GOLDS):
        chunk = problems[start : start + GOLDS]
        golds = [(start + place, problem) for place, problem in enumerate(chunk) if problem.gold]
        tries = [(problem, grader.completion_of(gold_answers(problem.gold or "")[0])) for _, problem in golds]
        graded = grader.grade_many(tries)
        bad |= {place: str(r.reason) for (place, _), r in zip(golds, graded, strict=True) if not r.score}
    return bad


def check_answering(problems: Sequence[Problem], grader: GoldGrader) -> None:
    """Refuse a verifier that gives no result for any of a few problems. All problems would take hours.

    Raises:
        InputError: each of the problems timed out, or ended its process again and again.
    """
    tries = [(problem, grader.completion_of(gold_answers(problem.gold or "1")[0])) for problem in problems]
    graded = grader.grade_many(tries)
    if graded and all(result.reason is Reason.TIMEOUT for result in graded):
        problem = f"no result for any of the first {counted(len(graded), 'problem')}: it hangs, or ends its process"
        remedy = "mend the verifier, which has seconds for an answer"
        raise InputError(problem, remedy, field="reward.verifier")


def check_golds(
    problems: Sequence[Problem],
    grader: GoldGrader,
    path: Path,
    places: Sequence[tuple[Path, int]] = (),
    bad_rows: str = "stop",
) -> list[Problem]:
    """Problems whose gold answer is graded as correct against itself. Problems without a gold answer pass.

    Raises:
        InputError: a gold answer fails and ``bad_rows`` is "stop", or all fail. All such rows are named.
    """
    bad, faults = bad_golds(problems, grader), BadRowList()
    for place, reason in bad.items():
        file, row = places[place] if places else (path, place + 1)
        faults.add(bad_gold(problems[place], reason, file, row))
    if bad_rows == "stop" or len(bad) == len(problems):
        faults.raise_all()
    return [problem for place, problem in enumerate(problems) if place not in bad]


def bad_gold(problem: Problem, reason: str, file: Path | None = None, row: int | None = None) -> InputError:
    """The error of one gold answer."""
    text = f"gold {problem.gold!r} is unparsable: against itself it is {reason}"
    remedy = "mend it, or use a reward.verifier that reads it"
    return InputError(text, remedy, file=file, row=row, field="gold")
