"""A report for a person on how a file of problems is read, before a run reads the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Any

from data.decontaminate import overlaps
from data.identity import EARLIER_TURNS, earlier_turns, label_of, shown_text
from data.normalised_tokens import normalised_tokens
from data.problems import GoldGrader, ProblemSet, bad_golds
from data.template_text import find_template
from rewards.gold_matching import AnswerGrader, match_golds
from rewards.types import Problem
from rewards.wording import agreeing, counted

SHOWN = 5
PAIRS = 5
BAR = 40


def describe(found: ProblemSet, grader: GoldGrader | None = None) -> Iterator[str]:
    """Lines about one source: rows, columns, faults, template text, lengths, and the first problems.

    ``grader`` grades gold answers against themselves. None leaves that check out.
    """
    yield f"{found.source}: {counted(found.rows, 'row')}, {counted(len(found.problems), 'problem')}"
    yield f"  columns used: {', '.join(f'{name} ({count})' for name, count in sorted(found.used.items())) or 'none'}"
    yield from (f"  {note.removeprefix(f'{found.source}: ')}" for note in found.notes())
    if grader is not None:
        yield from _gold_lines(found, grader)
    prefix, suffix = find_template([normalised_tokens(problem.text) for problem in found.problems]).shown()
    for place, text in (("start", prefix), ("end", suffix)):
        if text:
            yield f"  template text at the {place} of many problems: {text!r}"
    yield from _histogram([len(problem.text) for problem in found.problems])
    for problem in found.problems[:SHOWN]:
        yield f"  --- {label_of(problem)} (gold {problem.gold!r})"
        yield from (f"  | {line}" for line in shown_text(problem).splitlines())


def _gold_lines(found: ProblemSet, grader: GoldGrader) -> Iterator[str]:
    bad = bad_golds(found.problems, grader)
    yield f"  golds that the verifier does not read: {len(bad)}"
    for place, reason in bad.items():
        file, row = found.places[place]
        yield f"    {file.name} row {row}: {found.problems[place].gold!r} is {reason}"


def describe_golds(found: ProblemSet, grader: AnswerGrader) -> Iterator[str]:
    """A line for each gold of one source that right answers never match, or that a wrong answer matches."""
    report = match_golds(found.problems, grader)
    for kind, faults in report.kinds():
        yield f"{found.source}: {report.share(faults)} {kind}"
        for fault in faults:
            file, row = found.places[fault.place]
            yield f"    {file.name} row {row}: {fault.gold!r} ({fault.why})"


def _histogram(lengths: Sequence[int]) -> Iterator[str]:
    """Problems by length in characters, in bins of doubling width."""
    yield "  characters of a problem:"
    counts: dict[int, int] = {}
    for length in lengths:
        counts[length.bit_length()] = counts.get(length.bit_length(), 0) + 1
    most = max(counts.values(), default=1)
    for bits in range(min(counts, default=0), max(counts, default=-1) + 1):
        count = counts.get(bits, 0)
        yield f"    below {1 << bits:>7}: {count:>7} {'#' * round(BAR * count / most)}"


def describe_overlaps(sets: Sequence[ProblemSet]) -> Iterator[str]:
    """Lines about problems that two of the sources share, with the first pairs."""
    for first, second in combinations(sets, 2):
        found = overlaps(first.problems, second.problems)
        occur = agreeing(len(found), "occurs", "occur")
        yield f"{first.source} and {second.source}: {counted(len(found), 'problem')} of the first {occur} in the second"
        yield from (f"    {overlap.shown()} (share {overlap.share:.2f})" for overlap in found[:PAIRS])


def normalised_rows(problems: Iterable[Problem]) -> Iterator[dict[str, Any]]:
    """Rows that every reader of this product takes as the same problems. Columns for verifiers are kept."""
    for problem in problems:
        row: dict[str, Any] = {name: value for name, value in problem.meta.items() if name not in _OWN}
        turns = earlier_turns(problem)
        row |= {"id": label_of(problem), "problem": problem.text}
        row |= {"gold": problem.gold} if problem.gold is not None else {}
        yield row | ({EARLIER_TURNS: turns} if turns else {})


# Names that a plain row gives to its own columns.
_OWN = ("given_id", EARLIER_TURNS, "id", "problem", "gold")
