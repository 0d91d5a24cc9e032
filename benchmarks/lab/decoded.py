"""Greedy and at matched entropy: ``python -m benchmarks.lab.decoded`` prints a line an arm.

A policy of lower entropy is right more often and shorter by its sampling alone. Both comparisons take that away.
"""

from __future__ import annotations

import sys

from benchmarks.lab.ends import ARMS
from benchmarks.lab.map import Row, percent, points, rows_of
from benchmarks.lab.page import labels, results
from benchmarks.lab.tables import markdown_table, printer

HEAD = (
    "record",
    "cell",
    "arm",
    "pairs",
    "greedy: points",
    "greedy: tokens at matched accuracy",
    "matched entropy: points",
    "matched entropy: tokens",
    "a win needs the points at matched entropy",
    "failed checks",
)


def table() -> list[str]:
    """A line for each judge-first and penalty arm beside its vanilla, and for the pools."""
    rows = [(record, row) for record, cell in results() for row in rows_of(cell) if row.arm in ARMS]
    return markdown_table(HEAD, [_cells(record, row) for record, row in rows])


def _cells(record: str, row: Row) -> tuple[str, ...]:
    return (
        *labels(record, row),
        row.arm,
        str(row.comparison.accuracy.pairs),
        points(row.greedy[0]),
        percent(row.greedy[1]),
        points(row.at_entropy[0]),
        percent(row.at_entropy[1]),
        "no" if row.comparison.at_entropy is None else "yes",
        "; ".join(row.failed_checks) or "none",
    )


main = printer("decoded", "greedy and at matched entropy", table)

if __name__ == "__main__":
    sys.exit(main())
