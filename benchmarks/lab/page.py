"""The table of docs/when-it-pays.md: ``python -m benchmarks.lab.page [--plots DIR]`` prints every committed comparison.

A test holds the page against these lines.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import or_
from pathlib import Path

from benchmarks.lab.command import Parser, made_folder, one_line
from benchmarks.lab.map import MAIN_ARMS, CellResults, Row, percent, points, read_cell, rows_of, with_pools
from benchmarks.lab.measured import RESULTS, cell_folders
from benchmarks.lab.records import LABEL
from benchmarks.lab.statistics import outcomes
from benchmarks.lab.tables import markdown_table

# Controls that started from the base of another record, as their pages say.
CONTROLS = {
    "2026-11-29-h200-third": (
        "2026-11-29-h200-third/chain-92-05-controls",
        "2026-11-29-h200-fourth/chain-92-05-controls",
    )
}
POOL = "both"  # stands in the place of a record
HEAD = ("record", "cell", "arm", "pairs", "points", "tokens at matched accuracy", "end tokens", "outcome", "GPU s")


def results() -> list[tuple[str, CellResults]]:
    """Each committed cell with the name of its record, then the pools of registered instances."""
    read = [(str(folder.relative_to(RESULTS)), read_cell(folder)) for folder in cell_folders()]
    cells = [(record, _with_controls(record, cell)) for record, cell in read]
    pooled = with_pools([cell for _, cell in cells])
    names = [record for record, _ in cells]
    return [*zip(names, pooled[: len(names)], strict=True), *((POOL, pool) for pool in pooled[len(names) :])]


def _with_controls(record: str, cell: CellResults) -> CellResults:
    more = [read_cell(RESULTS / folder).octets for folder in CONTROLS.get(record, ())]
    return replace(cell, octets=reduce(or_, more, cell.octets))


def table() -> list[str]:
    """A line for each arm beside its vanilla. Holm's correction is over every line that a claim could rest on."""
    rows = [(record, row) for record, cell in results() for row in rows_of(cell)]
    decisive = [row for _, row in rows if could_win(row)]
    decided = {
        id(row): str(found) for row, found in zip(decisive, outcomes([r.comparison for r in decisive]), strict=True)
    }
    return markdown_table(HEAD, [_cells(record, row, decided.get(id(row), _why_none(row))) for record, row in rows])


def could_win(row: Row) -> bool:
    """Whether a claim could rest on the line. Holm's correction is over these."""
    return row.arm in MAIN_ARMS and row.decides and not row.failed_checks


def labels(record: str, cell: CellResults | Row) -> tuple[str, str]:
    """Record and cell as the tables name them. A pool is named by its last instances."""
    name = cell.name if isinstance(cell, CellResults) else cell.cell
    return record.partition("/")[0], name.removeprefix("chain-92-05-fresh-1 + ") if record == POOL else name


def _why_none(row: Row) -> str:
    if row.arm not in MAIN_ARMS:
        return "-"
    return f"none: {'; '.join(row.failed_checks)}" if row.failed_checks else "of both instances alone"


def _cells(record: str, row: Row, outcome: str) -> tuple[str, ...]:
    c = row.comparison
    ends = f"{c.arm_tokens:.1f}, vanilla {row.vanilla[1]:.1f}"
    return (
        *labels(record, row),
        row.arm,
        str(c.accuracy.pairs),
        points(c.accuracy),
        percent(c.shortening),
        ends,
        outcome,
        f"{row.seconds:.0f}",
    )


@one_line
def main(arguments: Sequence[str] | None = None) -> int:
    made = Parser(prog="python -m benchmarks.lab.page", description=f"{LABEL}: the page's table")
    made.add_argument("--plots", type=Path, help="folder for one plot of each cell; needs matplotlib")
    options = made.parse_args(arguments)
    if options.plots:
        from benchmarks.lab.plots import plot_cell

        made_folder(options.plots)
    print("\n".join(table()))
    if options.plots:
        for record, cell in results():
            if record != POOL and "vanilla" in cell.octets and len(cell.octets) > 1:
                plot_cell(cell.name, cell.octets, options.plots / f"{record.replace('/', '-')}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
