"""What the grader found: reasons, verdicts by label, and transition words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple

from judgerlvr.evaluation.summary import TRANSITION_WORDS
from judgerlvr.reporting.answer import DECODINGS
from judgerlvr.reporting.arms import Arm
from judgerlvr.reporting.evaluations import Judging, Kind, Result
from judgerlvr.reporting.parts import Cell, Table, count, interval, number
from judgerlvr.reporting.words import reason_word

KINDS: tuple[tuple[Kind, str], ...] = (("generate", "solutions"), ("judge", "verdicts"))
SAID = ("accepted", "rejected", "no verdict")
# In the order of the fields of ``Confusion``.
CONFUSION = [f"{label} solution, {said}" for label in ("right", "wrong") for said in SAID]
VERDICT_HEAD = (
    "arm",
    "decoding",
    *CONFUSION,
    "precision",
    "recall",
    "traces that check (share)",
    "balanced accuracy of those traces",
)
VERDICT_NOTE = "Samples by the label of the shown solution and by the verdict. Precision and recall: of accepting."


def _results(arms: Sequence[Arm], kind: Kind) -> Iterator[tuple[Arm, str, Result]]:
    for arm in arms:
        for name, greedy in DECODINGS:
            for row in arm.measured.rows(kind, greedy):
                yield arm, name, row


def reason_tables(arms: Sequence[Arm]) -> Iterator[Table]:
    """Samples by the reason of the grader, for solutions and for verdicts."""
    for kind, what in KINDS:
        found = list(_results(arms, kind))
        names = list(dict.fromkeys(name for _, _, row in found for name in row.reasons))
        rows = [
            [Cell(arm.name), Cell(row.set_name), Cell(how), *(count(row.reasons.get(name, 0)) for name in names)]
            for arm, how, row in found
        ]
        if rows:
            yield Table(f"Samples by reason, {what}", ("arm", "set", "decoding", *map(reason_word, names)), rows)


def verdict_table(arms: Sequence[Arm]) -> Iterator[Table]:
    """Label by verdict, sampled and greedy, precision and recall, and the traces that really check."""
    rows = [_verdicts(arm, how, row.judging) for arm, how, row in _results(arms, "judge") if row.judging]
    if rows:
        yield Table("Verdicts by label", VERDICT_HEAD, rows, VERDICT_NOTE)


def _verdicts(arm: Arm, how: str, judging: Judging) -> list[Cell]:
    return [
        Cell(arm.name),
        Cell(how),
        *map(count, astuple(judging.confusion)),
        interval(judging.precision),
        interval(judging.recall),
        number(judging.checking),
        interval(judging.checking_balanced_accuracy),
    ]


def words_table(arms: Sequence[Arm]) -> Iterator[Table]:
    """Transition words of sampled and greedy solutions."""
    names = (*TRANSITION_WORDS, "all")
    rows = [
        [Cell(arm.name), Cell(how), *(number(row.words.get(name), 2) for name in names)]
        for arm, how, row in _results(arms, "generate")
        if row.words
    ]
    if rows:
        yield Table("Transition words per 1,000 tokens of solutions", ("arm", "decoding", *names), rows)
