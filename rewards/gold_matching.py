"""Golds that can be matched: each gold is restyled, which must pay, and mutated, which must not.

A gold that no reading covers is paid only where an answer repeats its tokens. Nearly every right answer scores 0 then.
Such a gold passes a check against itself, and only this check finds such a gold.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rewards.comparison.answer_reader import Reading, read
from rewards.comparison.compare import is_plain_whole
from rewards.comparison.numerals import TooLarge
from rewards.comparison.tree import Bracketed, Listing, Num, Quantity, Words
from rewards.comparison.units import counted_nouns
from rewards.extraction.gold import gold_answers
from rewards.grading.pool import GraderPool
from rewards.types import Problem, Result
from rewards.wording import counted

# Distinct golds that are restyled and mutated; the reading of every gold is checked.
MOST_TRIED = 2000
_MUTANTS, _MOST_WORDS, _SHOWN = 4, 8, 5
_DIGIT = re.compile(r"[0-9]")
_SIGNS = {"+": "-", "-": "+", "<": ">", ">": "<"}


class AnswerGrader(Protocol):
    """The part of ``rewards.grading.pool.GraderPool`` that tries golds."""

    def completion_of(self, answer: str) -> str: ...

    def grade_many(self, pairs: Sequence[tuple[Problem, str]]) -> list[Result]: ...


@dataclass(frozen=True)
class GoldFault:
    """A gold that is never or too easily matched. ``place`` counts problems from 0."""

    place: int
    problem: Problem
    gold: str
    why: str


@dataclass
class GoldReport:
    """Golds that right answers can hardly match, golds that a wrong answer matches, and how many were tried."""

    never: list[GoldFault] = field(default_factory=list)
    easily: list[GoldFault] = field(default_factory=list)
    golds: int = 0
    tried: int = 0

    def lines(self, source: object = "golds") -> list[str]:
        """Lines for a console, one a kind of fault; none where all golds are sound."""
        return [f"{source}: {self.share(faults)} {kind}: {_shown(faults)}" for kind, faults in self.kinds() if faults]

    def share(self, faults: Sequence[GoldFault]) -> str:
        """How many of the golds have one of ``faults``. A gold may be matched by several wrong answers."""
        return f"{len({fault.place for fault in faults})} of {counted(self.golds, 'gold')}"

    def kinds(self) -> tuple[tuple[str, list[GoldFault]], ...]:
        """Each kind of fault in words, and the faults of that kind."""
        return (("never matched by another spelling", self.never), ("matched by a wrong answer", self.easily))


def _shown(faults: Sequence[GoldFault]) -> str:
    shown = "; ".join(f"row {fault.place + 1} {fault.gold[:60]!r} ({fault.why})" for fault in faults[:_SHOWN])
    return shown + ("; ..." if len(faults) > _SHOWN else "")


def match_golds(problems: Sequence[Problem], grader: AnswerGrader) -> GoldReport:
    """Which golds of a set are never matched, and which too easily. Problems without a gold are passed over."""
    places = [(place, problem) for place, problem in enumerate(problems) if problem.gold]
    report = GoldReport(golds=len(places))
    distinct: dict[tuple[str, str], tuple[int, Problem]] = {}
    for place, problem in places:
        if (why := _unreadable(problem)) is not None:
            report.never.append(GoldFault(place, problem, problem.gold or "", why))
        else:
            distinct.setdefault((problem.gold or "", ""), (place, problem))
    step = -(-len(distinct) // MOST_TRIED) or 1
    chosen = list(distinct.values())[::step]
    report.tried = len(chosen)
    _try(chosen, grader, report)
    report.never.sort(key=lambda fault: fault.place)
    return report


def warn_of_golds(problems: Sequence[Problem], pool: GraderPool, source: object) -> GoldReport:
    """Print the golds that are never or too easily matched to standard error.

    A verifier that does not read the extracted answer is not asked: its golds need not be answers.
    """
    report = match_golds(problems, pool) if pool.reads_answers else GoldReport()
    for line in report.lines(source):
        print(f"warning: {line}", file=sys.stderr)
    return report


def _try(chosen: Sequence[tuple[int, Problem]], grader: AnswerGrader, report: GoldReport) -> None:
    tries = [
        (place, problem, text, expected)
        for place, problem in chosen
        for expected, texts in ((True, restyled(problem)), (False, mutated(problem)))
        for text in texts
    ]
    results = grader.grade_many([(problem, grader.completion_of(text)) for _, problem, text, _ in tries])
    for (place, problem, text, expected), result in zip(tries, results, strict=True):
        if bool(result.score) != expected:
            fault = GoldFault(place, problem, problem.gold or "", f"{text[:60]!r} is {result.reason}")
            (report.never if expected else report.easily).append(fault)


def _reading(problem: Problem, gold: str) -> Reading | None:
    try:
        return read(gold, counted_nouns(problem.text), trusted=True)
    except TooLarge:
        return None


def _unreadable(problem: Problem) -> str | None:
    """Why no answer but the gold's own tokens can match, or None."""
    for gold in gold_answers(problem.gold or ""):
        if is_plain_whole(gold):
            return None
        reading = _reading(problem, gold)
        if reading is not None and reading.node is not None and not _is_essay(reading):
            return None
        if reading is not None and reading.node is not None:
            return "a sentence, which only the same words match"
    return "no reading covers every token"


def _is_essay(reading: Reading) -> bool:
    return isinstance(reading.node, Words) and len(reading.node.words) > _MOST_WORDS


def restyled(problem: Problem) -> list[str]:
    """Other spellings of the first gold that a right answer may use."""
    gold = gold_answers(problem.gold or "")[0].strip()
    reading = _reading(problem, gold)
    node = reading.node if reading is not None else None
    plain = gold.strip("$").strip()
    texts = [f"${plain}$", f" {plain} ."]
    if r"\frac" in plain:
        texts.append(plain.replace(r"\frac", r"\dfrac"))
    if isinstance(node, Quantity) and isinstance(node.scalar, Num) and not node.percent and not node.unit:
        texts += _grouped(node.scalar)
    if isinstance(node, Words) and plain.isalpha():
        texts += [rf"\text{{{plain}}}", rf"\textbf{{{plain.lower()}}}" if len(plain) > 1 else plain]
    if isinstance(node, Listing) or (isinstance(node, Bracketed) and node.brackets == "{}"):
        texts += _reversed_members(plain)
    return texts


def _grouped(number: Num) -> Iterator[str]:
    """A whole number of four digits or more with commas."""
    if number.value.denominator == 1 and not number.digits and abs(number.value) >= 1000:
        yield f"{int(number.value):,}"


def _reversed_members(text: str) -> Iterator[str]:
    """A plain list of members without brackets in the opposite order."""
    members = text.split(",")
    if len(members) > 1 and not re.search(r"[(\[{}=]|\\text|and|or|[0-9],[0-9]{3}", text):
        yield ", ".join(reversed([member.strip() for member in members]))


def mutated(problem: Problem) -> list[str]:
    """The first gold with one digit or sign changed, as far as the change is a real one."""
    gold = gold_answers(problem.gold or "")[0].strip()
    texts = [f"{gold[: at.start()]}{(int(at[0]) + 1) % 10}{gold[at.end() :]}" for at in _DIGIT.finditer(gold)]
    texts += [f"{gold[:at]}{_SIGNS[sign]}{gold[at + 1 :]}" for at, sign in enumerate(gold) if sign in _SIGNS]
    step = -(-len(texts) // _MUTANTS) or 1
    return [text for text in texts[::step] if _is_real(gold, text)]


def _is_real(gold: str, mutant: str) -> bool:
    """Whether a mutant differs in value, by the second grader, or in tokens where that has no opinion."""
    from rewards.auditing.second_grader import second_opinion

    return second_opinion(gold=gold, answer=mutant) is not True
