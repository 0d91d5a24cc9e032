"""Tokens at equal steps, with and without truncated responses: ``python -m benchmarks.lab.ends`` prints a line an arm.

A truncated response carries no loss. So a run may learn to write until the limit where an answer would be wrong.
The mean over all responses then tells of the limit. The mean over the responses that end does not.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence

import numpy as np
import torch

from benchmarks.lab.map import MAIN_ARMS, CellResults, percent
from benchmarks.lab.page import labels, results
from benchmarks.lab.pairs import Curve, end, paired_curves
from benchmarks.lab.statistics import Estimate, estimate
from benchmarks.lab.tables import markdown_table, printer
from benchmarks.lab.worlds.making import make_world, stored_world

ARMS = (*MAIN_ARMS, "penalty-low", "penalty-high")
HEAD = ("record", "cell", "arm", "pairs", "tokens at equal steps", "of responses that end", "truncated")


def tokens_that_end(curve: Curve, limit: int) -> float:
    """Mean tokens at the end of the responses that end in time. A truncated response has ``limit`` tokens."""
    cut = end(curve, "truncated")
    return (end(curve, "tokens") - limit * cut) / (1 - cut)


def log_ratio(pairs: Sequence[tuple[Curve, Curve]], tokens: Callable[[Curve], float]) -> Estimate:
    """Log of vanilla's tokens over the arm's at equal steps, as ``map.percent`` expects."""
    return estimate([math.log(tokens(theirs) / tokens(mine)) for mine, theirs in pairs])


def table() -> list[str]:
    """A line for each judge-first and penalty arm of every record that vanilla belongs to, and of the pools."""
    cells = [(record, cell) for record, cell in results() if "vanilla" in cell.octets]
    return markdown_table(HEAD, [_cells(*at, name) for at in cells for name in at[1].octets if name in ARMS])


def _cells(record: str, cell: CellResults, name: str) -> tuple[str, ...]:
    vanilla = cell.octets["vanilla"]
    limit = make_world(stored_world(vanilla["settings"]["world"]), torch.device("cpu")).response_limit
    pairs = paired_curves(cell.octets[name], vanilla)
    cut = [float(np.mean([end(pair[side], "truncated") for pair in pairs])) for side in (0, 1)]
    return (
        *labels(record, cell),
        name,
        str(len(pairs)),
        percent(log_ratio(pairs, lambda curve: end(curve, "tokens"))),
        percent(log_ratio(pairs, lambda curve: tokens_that_end(curve, limit))),
        f"{cut[0]:.3f}, vanilla {cut[1]:.3f}",
    )


main = printer("ends", "tokens at equal steps", table)

if __name__ == "__main__":
    sys.exit(main())
