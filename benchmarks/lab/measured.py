"""Committed cells as measured cases of ``judgerlvr.diagnose``: ``python -m benchmarks.lab.measured`` prints them."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

from benchmarks.lab.checks import mean_point
from benchmarks.lab.map import MAIN_ARMS, CellResults, Row, read_cell, rows_of
from benchmarks.lab.records import LABEL, as_json
from benchmarks.lab.statistics import Estimate
from benchmarks.lab.tables import printer

RESULTS = Path(__file__).parent / "results"
# By the kind of the world: whether a refused value must be replaced by another one.
FAMILIES = {True: "lab: chain with frozen rechecks", False: "lab: twin, whose rechecks always pay"}
GATES = "lab: gates, whose checks the policy learns"
DEMO = "lab: the demo's chain, which sharpening alone solves"
UNREACHED = "none as accurate"  # the word of judgerlvr.diagnosis.cases, which the lab cannot import


def cases_of(folder: Path) -> list[dict[str, Any]]:
    """A row for each judge-first arm of a cell beside vanilla. Figures are rounded to 4 digits."""
    cell = read_cell(folder)
    return [_case(folder, cell, row) for row in rows_of(cell) if row.arm in MAIN_ARMS]


def _case(folder: Path, cell: CellResults, row: Row) -> dict[str, Any]:
    vanilla = cell.octets["vanilla"]
    settings = vanilla["settings"]
    record = folder.resolve().relative_to(RESULTS)
    rates = "each arm at its better rate" if len(settings["rates"]) > 1 else f"rate {settings['rates'][0]:g}"
    kind = "registered" if cell.registration else "exploratory"
    return {
        "name": f"{cell.name} {row.arm}, {record.parts[0]}",
        "family": family(settings["world"]),
        "record": f"benchmarks/lab/results/{record}",
        "condition": f"{LABEL}; one base, {rates}, {vanilla['device']}, {kind}; tokens at matched accuracy",
        "pairs": row.comparison.accuracy.pairs,
        "inputs": _inputs(cell),
        "accuracy": _bounds(row.comparison.accuracy),
        "shortening": _bounds(row.comparison.shortening),
        "tokens": round(row.comparison.arm_tokens, 4),
        "front_tokens": _front(row.comparison.front),
        "at_entropy": None if row.comparison.at_entropy is None else _bounds(row.comparison.at_entropy),
        "failed_checks": row.failed_checks,
    }


def family(world: dict[str, Any]) -> str:
    """By the world's settings: only a chain says whether a refused value is replaced, and only the demo's has tries."""
    if "tries" in world:
        return DEMO
    return FAMILIES[world["replaces"]] if "replaces" in world else GATES


def _front(tokens: float) -> float | str | None:
    """None where no penalty arm has run."""
    if math.isnan(tokens):
        return None
    return UNREACHED if math.isinf(tokens) else round(tokens, 4)


def _inputs(cell: CellResults) -> dict[str, float]:
    """The base, as the mean over the runs of vanilla at step 0."""
    base = mean_point([run["curve"][0] for run in cell.octets["vanilla"]["runs"]])
    values = {
        "pass@1": base["accuracy"],
        "mixed groups of 16": base["mixed_groups"],
        "greedy less sampled": base["greedy_accuracy"] - base["accuracy"],
        "judge balanced accuracy": base["judge_balanced"],
        "judge false yes": base["judge_false_yes"],
        "log2 of tokens": math.log2(base["tokens"]),
    }
    return {name: round(value, 4) for name, value in values.items()}


def _bounds(value: Estimate) -> dict[str, float | None]:
    ends = {"mean": value.mean, "low": value.low, "high": value.high}
    return {name: round(end, 4) if math.isfinite(end) else None for name, end in ends.items()}


def cell_folders() -> list[Path]:
    """The committed cells that have a vanilla octet, by name."""
    return sorted(file.parent for file in RESULTS.rglob("octet-vanilla.json"))


def text() -> list[str]:
    return [as_json([case for folder in cell_folders() for case in cases_of(folder)], indent=1)]


main = printer("measured", "measured cases", text)

if __name__ == "__main__":
    sys.exit(main())
