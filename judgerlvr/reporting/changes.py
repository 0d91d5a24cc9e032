"""Problems on which two arms differ: counts for the pairs that matter, and every problem for the page's search."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from judgerlvr.evaluation.comparison import Comparison, paired, select
from judgerlvr.evaluation.conditions import Difference, differences
from judgerlvr.evaluation.metrics import Estimate
from judgerlvr.evaluation.outputs import Group, SetKey
from judgerlvr.evaluation.records import Record
from judgerlvr.reporting.answer import DECODINGS
from judgerlvr.reporting.arms import BASE, JUDGERLVR, VANILLA, Arm, main_arms, one_of_each, reference_of
from judgerlvr.reporting.parts import Cell, Table, count

HEAD = ("from", "to", "decoding", "problems", "gained", "lost", "accuracy, change", "p", "tokens, change")
NOTE = (
    "Gained: problems of which the second arm solves more than half of the samples, and the first arm does not. "
    "p: sign-flip test over problems, without correction for several tests."
)


def records_of(arm: Arm, greedy: bool) -> list[Record]:
    """Solutions of the arm's first set, sampled or greedy."""
    row = arm.measured.row("generate", greedy)
    return [record for record in select(arm.measured.samples, "generate", greedy) if row and record.set == row.set]


def compare(ours: Arm, theirs: Arm, greedy: bool) -> Comparison | None:
    """Ours against theirs, None where the two share no problem."""
    compared = paired(records_of(ours, greedy), records_of(theirs, greedy))
    return compared if compared.problems else None


def differences_of(ours: Arm, theirs: Arm, greedy: bool) -> list[Difference]:
    """Conditions that both evaluations do not share, and for which ``judgerlvr.compare`` refuses the two."""
    one, two = (_group(arm, greedy) for arm in (ours, theirs))
    return differences(one, two) if one and two else []


def _group(arm: Arm, greedy: bool) -> Group | None:
    row = arm.measured.row("generate", greedy)
    if row is None:
        return None
    return Group(SetKey(row.set, row.kind, greedy), records_of(arm, greedy), row.decoding, arm.measured.settings)


def stamp_of(ours: Arm, theirs: Arm, greedy: bool) -> str:
    """The names of the conditions that differ, for a row of a table. Empty where all are alike."""
    names = [found.name.upper() for found in differences_of(ours, theirs, greedy)]
    return f"DIFFERENT {', '.join(names)}" if names else ""


def pairs_of(arms: Sequence[Arm]) -> list[tuple[Arm, Arm]]:
    """From the base to every other arm, and from vanilla to JudgeRLVR, or to every other arm of a plan."""
    shown = {arm.name: arm for arm in one_of_each(main_arms(arms))}
    pairs = [(shown[BASE], arm) for name, arm in shown.items() if name != BASE] if BASE in shown else []
    if reference := reference_of(list(shown.values())):
        ends = [arm for name, arm in shown.items() if arm.planned and arm.planned.last and name != reference]
        return pairs + [(shown[reference], arm) for arm in ends]
    return pairs + ([(shown[VANILLA], shown[JUDGERLVR])] if {VANILLA, JUDGERLVR} <= shown.keys() else [])


def changes_table(arms: Sequence[Arm]) -> Iterator[Table]:
    """How many problems each pair gains and loses."""
    rows = [row for first, second in pairs_of(arms) for _, greedy in DECODINGS for row in _row(first, second, greedy)]
    if rows:
        yield Table("Problems gained and lost", HEAD, rows, NOTE)


def _row(first: Arm, second: Arm, greedy: bool) -> Iterator[list[Cell]]:
    compared = compare(second, first, greedy)
    if compared:
        yield [
            Cell(first.name, stamp_of(second, first, greedy)),
            Cell(second.name),
            Cell("greedy" if greedy else "sampled"),
            count(compared.problems),
            count(len(compared.gained)),
            count(len(compared.lost)),
            Cell(points(compared.difference)),
            Cell(f"{compared.test.p:.3g}"),
            Cell(percent(compared.tokens)),
        ]


def changes_data(arms: Sequence[Arm]) -> dict[str, Any]:
    """Per decoding, problem and arm: right samples, samples, and mean tokens (None where unknown)."""
    shown = one_of_each(main_arms(arms))
    tables = {name: [_scores(records_of(arm, greedy)) for arm in shown] for name, greedy in DECODINGS}
    return {
        "arms": [arm.name for arm in shown],
        "problems": {name: _joined(scores) for name, scores in tables.items() if any(scores)},
    }


def _joined(scores: Sequence[dict[str, list[Any]]]) -> list[list[Any]]:
    names = dict.fromkeys(problem for one in scores for problem in one)
    return [[problem, [one.get(problem) for one in scores]] for problem in names]


def _scores(records: Sequence[Record]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for record in records:
        entry = found.setdefault(record.problem_id, [0.0, 0, 0.0])
        tokens = math.nan if record.tokens is None else record.tokens
        entry[:] = [entry[0] + record.score, entry[1] + 1, entry[2] + tokens]
    for entry in found.values():
        entry[2] = None if math.isnan(entry[2]) else round(entry[2] / entry[1], 1)
    return found


def points(value: Estimate) -> str:
    """A difference of shares as percentage points with the interval."""
    return _signed(value, " points")


def percent(value: Estimate) -> str:
    """A relative change in percent with the interval."""
    return _signed(value, " %")


def _signed(value: Estimate, unit: str) -> str:
    if math.isnan(value.value):
        return "not known"
    return f"{value.value * 100:+.1f}{unit} [{value.low * 100:+.1f}, {value.high * 100:+.1f}]"
