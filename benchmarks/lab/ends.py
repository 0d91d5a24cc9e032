"""Tokens at equal steps, with and without truncated responses: ``python -m benchmarks.lab.ends`` prints a line an arm.

A truncated response carries no loss. So a run may learn to write until the limit where an answer would be wrong.
The mean over all responses then tells of the limit. The mean over the responses that end does not.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.lab.map import MAIN_ARMS, CellResults, percent
from benchmarks.lab.page import results
from benchmarks.lab.pairs import Curve, end, paired_curves
from benchmarks.lab.records import LABEL
from benchmarks.lab.statistics import Estimate, estimate
from benchmarks.lab.worlds.chain import longest_response

HEAD = ("record", "cell", "arm", "pairs", "tokens at equal steps", "of responses that end", "truncated")


def tokens_that_end(curve: Curve, limit: int) -> float:
    """Mean tokens at the end of the responses that end in time. A truncated response has ``limit`` tokens."""
    cut = end(curve, "truncated")
    return (end(curve, "tokens") - limit * cut) / (1 - cut)


def log_ratio(pairs: Sequence[tuple[Curve, Curve]], tokens: Callable[[Curve], float]) -> Estimate:
    """Log of vanilla's tokens over the arm's at equal steps, as ``map.percent`` expects."""
    return estimate([math.log(tokens(theirs) / tokens(mine)) for mine, theirs in pairs])


def table() -> list[str]:
    """A line for each judge-first arm of every record that vanilla belongs to, and of the pools."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + " --- |" * len(HEAD)]
    for record, cell in results():
        for name in (name for name in cell.octets if name in MAIN_ARMS and "vanilla" in cell.octets):
            lines.append("| " + " | ".join(_cells(record, cell, name)) + " |")
    return lines


def _cells(record: str, cell: CellResults, name: str) -> tuple[str, ...]:
    vanilla = cell.octets["vanilla"]
    limit = longest_response(vanilla["settings"]["world"]["most_steps"])
    pairs = paired_curves(cell.octets[name], vanilla)
    cut = [float(np.mean([end(pair[side], "truncated") for pair in pairs])) for side in (0, 1)]
    return (
        record.partition("/")[0],
        cell.name.removeprefix("chain-92-05-fresh-1 + ") if record == "both" else cell.name,
        name,
        str(len(pairs)),
        percent(log_ratio(pairs, lambda curve: end(curve, "tokens"))),
        percent(log_ratio(pairs, lambda curve: tokens_that_end(curve, limit))),
        f"{cut[0]:.3f}, vanilla {cut[1]:.3f}",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    made = argparse.ArgumentParser(prog="python -m benchmarks.lab.ends", description=f"{LABEL}: tokens at equal steps")
    made.parse_args(arguments)
    print("\n".join(table()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
