"""Judge-first less each control of the same base: ``python -m benchmarks.lab.contrasts`` prints a line a control.

The controls judge as long as ``judge-20``, so the contrast is direct. Vanilla has no part in it.
"""

from __future__ import annotations

import sys

from benchmarks.lab.arms import control_arms
from benchmarks.lab.cells import STEPS
from benchmarks.lab.ends import log_ratio
from benchmarks.lab.map import CellResults, percent, points
from benchmarks.lab.page import labels, results
from benchmarks.lab.pairs import accuracy_difference, end, paired_curves
from benchmarks.lab.statistics import estimate
from benchmarks.lab.tables import markdown_table, printer

FIRST = "judge-20"
CONTROLS = tuple(arm.name for arm in control_arms(STEPS))
HEAD = ("record", "cell", "contrast", "pairs", "points", "tokens at equal steps", "points of each pair")


def table() -> list[str]:
    """A line for each control of every record in which ``judge-20`` has run from the same base."""
    cells = [(record, cell) for record, cell in results() if FIRST in cell.octets]
    return markdown_table(HEAD, [_cells(*at, name) for at in cells for name in at[1].octets if name in CONTROLS])


def _cells(record: str, cell: CellResults, control: str) -> tuple[str, ...]:
    pairs = paired_curves(cell.octets[FIRST], cell.octets[control])
    differences = [accuracy_difference(*pair) for pair in pairs]
    return (
        *labels(record, cell),
        f"{FIRST} less {control}",
        str(len(pairs)),
        points(estimate(differences)),
        percent(log_ratio(pairs, lambda curve: end(curve, "tokens"))),
        ", ".join(f"{100 * value:+.1f}" for value in differences),
    )


main = printer("contrasts", "judge-first less each control", table)

if __name__ == "__main__":
    sys.exit(main())
