"""Which cells of the plan have run, and at what price: ``python -m benchmarks.lab.coverage`` prints a line a cell.

An instance of a cell counts for its cell. verl's own run of the demo's chain is named beside the lab's cell.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.lab.cells import CONTROLS, DEMO, chain_cells, demo_cell, gate_cells, setting_of
from benchmarks.lab.command import read_object
from benchmarks.lab.map import failed_checks_of_base
from benchmarks.lab.measured import RESULTS
from benchmarks.lab.tables import markdown_table, printer

PARTS = ("cell", "arm", "complete", "seconds")
SEEDS = "[over seeds](tiny-world.md#judge-first-over-seeds)"
BY_VERL = {DEMO: f". verl has run this world {SEEDS}, without a win"}  # behind the lab's own state


def planned() -> list[str]:
    return [cell.name for cell in [*chain_cells(), *gate_cells(), demo_cell()]]


def every_octet() -> dict[Path, dict[str, Any]]:
    """Every octet that left a file, with its last step. Octets that were cut are among these."""
    return {file: _octet(file, file.stat().st_mtime_ns) for file in sorted(RESULTS.rglob("octet-*.json"))}


@cache
def _octet(file: Path, changed: int) -> dict[str, Any]:
    """Parts of an octet, read once until the file changes. ``changed`` is in nanoseconds."""
    octet = read_object(file, *PARTS)
    last = octet["runs"][0]["curve"][-1]["step"] if octet.get("runs") else 0
    return {part: octet[part] for part in PARTS} | {"last_step": last}


def octets(cell: str) -> list[dict[str, Any]]:
    """Octets of the cell, of instances and of controls, by file."""
    return [octet for octet in every_octet().values() if is_of(octet["cell"], cell)]


def arms_run(cell: str) -> list[str]:
    """Complete arms of the cell, by file."""
    return list(dict.fromkeys(octet["arm"]["name"] for octet in octets(cell) if octet["complete"]))


def price(cell: str) -> tuple[int, float]:
    """Octets of the cell, and their seconds. Octets that share a card count in full."""
    own = octets(cell)
    return len(own), sum(octet["seconds"] for octet in own)


def state(cell: str) -> str:
    if arms := arms_run(cell):
        return f"run: {', '.join(arms)}"
    files = [f for f in sorted(RESULTS.rglob("checks.json")) if is_of(read_object(f, "cell")["cell"], cell)]
    failed = list(dict.fromkeys(check for file in files for check in failed_checks_of_base(file)))
    return f"no arm has run. Checks of the base that failed: {', '.join(failed)}" if failed else "not run"


def is_of(name: str, cell: str) -> bool:
    return setting_of(name).removesuffix(CONTROLS) == cell


def table() -> list[str]:
    rows = [(cell, *_price_columns(cell), state(cell) + BY_VERL.get(cell, "")) for cell in planned()]
    return markdown_table(("cell", "octets", "their seconds", "state"), rows)


def _price_columns(cell: str) -> tuple[str, str]:
    count, seconds = price(cell)
    return (str(count), f"{seconds:,.0f}") if count else ("", "")


def sentence() -> str:
    ran = sum(bool(arms_run(cell)) for cell in planned())
    return f"Of {len(planned())} planned cells {ran} have run and {len(planned()) - ran} have not."


def octet_count() -> int:
    return sum(price(cell)[0] for cell in planned())


def seconds() -> float:
    """Of all octets that left a file."""
    return sum(price(cell)[1] for cell in planned())


def price_sentence() -> str:
    count = octet_count()
    return f"{count} octets took {seconds():,.0f} s, {seconds() / count:,.0f} s each." if count else "No octet has run."


main = printer("coverage", "planned cells and their runs", lambda: [*table(), "", sentence(), price_sentence()])

if __name__ == "__main__":
    sys.exit(main())
