"""Judge-first less each control, and each recipe less judge-first: ``python -m benchmarks.lab.contrasts`` prints both.

All arms of a record start from the same base, so the contrast is direct. Vanilla has no part in it.
"""

from __future__ import annotations

import sys

from benchmarks.lab.arms import control_arms, recipe_arms
from benchmarks.lab.cells import STEPS
from benchmarks.lab.ends import log_ratio
from benchmarks.lab.map import CellResults, percent, points
from benchmarks.lab.page import labels, results
from benchmarks.lab.pairs import accuracy_difference, end, paired_curves
from benchmarks.lab.statistics import estimate
from benchmarks.lab.tables import markdown_table, printer

FIRST = "judge-20"
CONTROLS = tuple(arm.name for arm in control_arms(STEPS))
RECIPES = tuple(arm.name for arm in recipe_arms(STEPS) if arm.name.startswith("judge-") and arm.name != FIRST)
HEAD = ("record", "cell", "contrast", "pairs", "points", "tokens at equal steps", "points of each pair")


def table() -> list[str]:
    """A line for each control and recipe of every record in which ``judge-20`` has run from the same base."""
    cells = [(record, cell) for record, cell in results() if FIRST in cell.octets]
    rows = [_cells(*at, FIRST, name) for at in cells for name in at[1].octets if name in CONTROLS]
    rows += [_cells(*at, name, FIRST) for at in cells for name in at[1].octets if name in RECIPES]
    return markdown_table(HEAD, rows)


def _cells(record: str, cell: CellResults, one: str, other: str) -> tuple[str, ...]:
    pairs = paired_curves(cell.octets[one], cell.octets[other])
    differences = [accuracy_difference(*pair) for pair in pairs]
    return (
        *labels(record, cell),
        f"{one} less {other}",
        str(len(pairs)),
        points(estimate(differences)),
        percent(log_ratio(pairs, lambda curve: end(curve, "tokens"))),
        ", ".join(f"{100 * value:+.1f}" for value in differences),
    )


main = printer("contrasts", "judge-first less each control, and recipes less judge-first", table)

if __name__ == "__main__":
    sys.exit(main())
