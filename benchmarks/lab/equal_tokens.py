"""Accuracy at equal sampled tokens: ``python -m benchmarks.lab.equal_tokens`` prints a line an arm.

A pair is compared at the smaller of both counts of sampled tokens. The judge set costs tokens too, once a cell.
A column leaves these candidates out. Another column charges each run for all candidates, as the product's budgets do.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from benchmarks.lab.map import MAIN_ARMS, CellResults, points
from benchmarks.lab.page import labels, results
from benchmarks.lab.pairs import Curve, paired_curves
from benchmarks.lab.statistics import Estimate, estimate
from benchmarks.lab.tables import markdown_table, printer

HEAD = ("record", "cell", "arm", "pairs", "sampled M, candidates M", "candidates not counted", "counted whole")


def accuracy_at(curve: Curve, tokens: float) -> float:
    """Accuracy once a run has sampled ``tokens``, linear between evaluations.

    A mean of three evaluations would lag behind a curve that rises fast after judging.
    """
    counts = [point["sampled_tokens"] for point in curve]
    return float(np.interp(tokens, counts, [point["accuracy"] for point in curve]))


def difference(arm: Curve, vanilla: Curve, candidates: float) -> float:
    """Arm less vanilla at the smaller count. The arm has spent ``candidates`` tokens before the first step."""
    tokens = min(arm[-1]["sampled_tokens"] + candidates, vanilla[-1]["sampled_tokens"])
    return accuracy_at(arm, tokens - candidates) - accuracy_at(vanilla, tokens)


def estimated(pairs: Sequence[tuple[Curve, Curve]], candidates: float) -> Estimate:
    return estimate([difference(mine, theirs, candidates) for mine, theirs in pairs])


def table() -> list[str]:
    """A line for each judge-first arm of every record that vanilla belongs to, and of the pools."""
    cells = [(record, cell) for record, cell in results() if "vanilla" in cell.octets]
    rows = [_cells(record, cell, name) for record, cell in cells for name in cell.octets if name in MAIN_ARMS]
    return markdown_table(HEAD, rows)


def _cells(record: str, cell: CellResults, name: str) -> tuple[str, ...]:
    pairs = paired_curves(cell.octets[name], cell.octets["vanilla"])
    candidates = cell.octets[name]["candidate_tokens"]
    mine, theirs = (np.mean([pair[side][-1]["sampled_tokens"] for pair in pairs]) / 1e6 for side in (0, 1))
    spent = f"{mine:.1f} and {candidates / 1e6:.1f}, vanilla {theirs:.1f}"
    counted = (points(estimated(pairs, cost)) for cost in (0, candidates))
    return (*labels(record, cell), name, str(len(pairs)), spent, *counted)


main = printer("equal_tokens", "accuracy at equal sampled tokens", table)

if __name__ == "__main__":
    sys.exit(main())
