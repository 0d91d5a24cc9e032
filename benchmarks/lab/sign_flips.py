"""The wins by another test: ``python -m benchmarks.lab.sign_flips`` prints p by Student's t and by sign changes.

The registered rule is Student's t. Runs gain much or nothing, so t is rough, and the exact test is shown beside it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from benchmarks.lab.map import CellResults, Row, rows_of
from benchmarks.lab.page import could_win, labels, results
from benchmarks.lab.pairs import accuracy_difference, paired_curves, shortening
from benchmarks.lab.statistics import holm, sign_flip
from benchmarks.lab.tables import markdown_table, printer

HEAD = ("record", "cell", "arm", "pairs", "t", "t, by Holm", "sign-flip", "sign-flip, by Holm")


@dataclass(frozen=True)
class Tested:
    """A line that could be a win, and its two-sided p values. Both halves must hold, so each p is the larger."""

    label: tuple[str, str]
    arm: str
    pairs: int
    t: float
    flip: float


def tested() -> list[Tested]:
    """Every line that a claim could rest on, in the order of the table of all comparisons."""
    return [
        Tested(labels(record, cell), row.arm, row.comparison.accuracy.pairs, row.comparison.p_win, p_flip(cell, row))
        for record, cell in results()
        for row in rows_of(cell)
        if could_win(row)
    ]


def p_flip(cell: CellResults, row: Row) -> float:
    pairs = paired_curves(cell.octets[row.arm], cell.octets["vanilla"])
    halves = [[half(*pair) for pair in pairs] for half in (accuracy_difference, shortening)]
    return min(1.0, 2 * max(map(sign_flip, halves)))


def table() -> list[str]:
    every = tested()
    by_t, by_flip = holm([one.t for one in every]), holm([one.flip for one in every])
    return markdown_table(
        HEAD,
        [
            (*one.label, one.arm, str(one.pairs), *(f"{p:.3f}" for p in (one.t, t, one.flip, flip)))
            for one, t, flip in zip(every, by_t, by_flip, strict=True)
        ],
    )


main = printer("sign_flips", "p values of a win by two tests", table)

if __name__ == "__main__":
    sys.exit(main())
