"""The tables of the docs pages, computed anew: ``python -m benchmarks.lab.pages`` writes them into the pages.

A table is found by its first line. Sentences stay as they are, and tests say which sentences no longer hold.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.lab import (
    bases,
    between_bases,
    contrasts,
    coverage,
    decoded,
    dose,
    ends,
    equal_tokens,
    handover,
    page,
    sharpening,
    sign_flips,
    spent,
)
from benchmarks.lab.command import BadInput, Parser, one_line
from benchmarks.lab.records import LABEL

DOCS = Path(__file__).parents[2] / "docs"
DOSES = (dose.CELL, "chain-92-15", "chain-95-05")  # cells with a table of doses, in the order of the page


def dose_table(cell: str) -> Callable[[], list[str]]:
    return lambda: dose.table(list(dose.doses(cell)))


TABLES: dict[str, tuple[Callable[[], list[str]], ...]] = {
    "when-it-pays.md": (
        *map(dose_table, DOSES),
        ends.table,
        contrasts.table,
        between_bases.table,
        handover.table,
        page.table,
    ),
    "when-it-pays-tables.md": (
        decoded.table,
        sharpening.table,
        equal_tokens.table,
        sign_flips.table,
        coverage.table,
        spent.seconds_table,
        spent.unlisted_table,
    ),
    "diagnosis.md": (bases.table,),
}


def refreshed(text: str, tables: Sequence[list[str]]) -> str:
    """``text`` with each table in the place of the old table of the same first line, in the same order."""
    lines, met = text.split("\n"), Counter[str]()
    for table in tables:
        places = [index for index, line in enumerate(lines) if line == table[0]]
        if met[table[0]] >= len(places):
            raise BadInput(f"the page has no table that begins {table[0]}: write that line where the table belongs")
        start = places[met[table[0]]]
        end = next((i for i in range(start, len(lines)) if not lines[i].startswith("|")), len(lines))
        lines[start:end] = table
        met[table[0]] += 1
    return "\n".join(lines)


@one_line
def main(arguments: Sequence[str] | None = None) -> int:
    Parser(prog="python -m benchmarks.lab.pages", description=f"{LABEL}: tables of the docs").parse_args(arguments)
    for name, tables in TABLES.items():
        file = DOCS / name
        old = file.read_text()
        new = refreshed(old, [table() for table in tables])
        file.write_text(new)
        print(f"{file.name}: {'unchanged' if new == old else 'tables written'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
