"""Trained arms less their base at equal entropy: ``python -m benchmarks.lab.sharpening`` prints a line an arm.

Sampling the base at a lower temperature makes the base surer, and in some worlds more often right. What a trained run
has beyond that is no sharpening. The base is read at the entropy with which each run ends.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.lab import measured
from benchmarks.lab.checks import Point
from benchmarks.lab.command import read_object
from benchmarks.lab.ends import ARMS
from benchmarks.lab.map import CellResults, percent, points
from benchmarks.lab.page import POOL, labels, results
from benchmarks.lab.pairs import Curve, at_rate, best_rate, end
from benchmarks.lab.statistics import Estimate, estimate
from benchmarks.lab.tables import markdown_table, printer

HEAD = (
    "record",
    "cell",
    "arm",
    "runs",
    "base",
    "less base: points",
    "base at their entropy",
    "temperature",
    "less base at their entropy: points",
    "tokens there",
    "greedy less greedy base: points",
)
HEATED = re.compile(r"t([\d.]+)_entropy")


@dataclass(frozen=True)
class Sampled:
    """A base sampled at a temperature, 0 for greedy. ``entropy`` is in nats a token."""

    entropy: float
    temperature: float
    accuracy: float
    tokens: float


@dataclass(frozen=True)
class Control:
    """One arm at its best rate against its base. Estimates are over runs, and the base is a single measurement."""

    base: Sampled
    plain: Estimate
    matched: list[Sampled]
    accuracy: Estimate
    tokens: Estimate  # log of the base's tokens over the run's
    greedy: Estimate


def base_of(folder: Path) -> list[Sampled]:
    """The base at each temperature that its record holds, the surest first. Empty without such a record.

    Newer records have the mean over all runs of the base. Older ones have the first run's figures.
    """
    file = folder / "checks.json"
    if not file.exists():
        return []
    stored = read_object(file, "base")
    return sampled(stored.get("base_mean", stored["base"]))


def sampled(point: Point) -> list[Sampled]:
    prefixes = {float(found[1]): f"t{found[1]}_" for name in point if (found := HEATED.fullmatch(name))}
    if not prefixes or "greedy_entropy" not in point:
        return []
    prefixes |= {0.0: "greedy_", 1.0: ""}
    rows = [
        Sampled(point[prefix + "entropy"], heat, point[prefix + "accuracy"], point[prefix + "tokens"])
        for heat, prefix in prefixes.items()
    ]
    return sorted(rows, key=lambda row: row.entropy)


def at_entropy(base: Sequence[Sampled], target: float) -> Sampled:
    """The base at an entropy, on lines between the temperatures measured. The nearest one outside of these."""
    entropies = [row.entropy for row in base]
    columns = ([getattr(row, name) for row in base] for name in ("temperature", "accuracy", "tokens"))
    return Sampled(target, *(float(np.interp(target, entropies, column)) for column in columns))


def control(curves: Sequence[Curve], base: Sequence[Sampled]) -> Control:
    """Runs, as means of their last three evaluations, less their base."""
    (free,) = [row for row in base if row.temperature == 1.0]
    (greedy,) = [row for row in base if row.temperature == 0.0]
    matched = [at_entropy(base, end(curve, "entropy")) for curve in curves]
    pairs = list(zip(curves, matched, strict=True))
    return Control(
        free,
        estimate([end(curve, "accuracy") - free.accuracy for curve in curves]),
        matched,
        estimate([end(curve, "accuracy") - one.accuracy for curve, one in pairs]),
        estimate([math.log(one.tokens / end(curve, "tokens")) for curve, one in pairs]),
        estimate([end(curve, "greedy_accuracy") - greedy.accuracy for curve in curves]),
    )


def controls() -> list[tuple[tuple[str, str], str, Control]]:
    """Record and cell, arm, and control: of vanilla, of judge-first arms and of penalties that have a measured base."""
    found = []
    for record, cell in results():
        base = [] if record == POOL else base_of(measured.RESULTS / record)
        names = [name for name in cell.octets if base and name in ("vanilla", *ARMS)]
        found += [(labels(record, cell), name, control(curves_of(cell, name), base)) for name in names]
    return found


def curves_of(cell: CellResults, name: str) -> list[Curve]:
    octet = cell.octets[name]
    return [run["curve"] for run in at_rate(octet, best_rate(octet))]


def table() -> list[str]:
    return markdown_table(HEAD, [(*at, name, *_figures(found)) for at, name, found in controls()])


def _figures(found: Control) -> tuple[str, ...]:
    heats = [row.temperature for row in found.matched]
    return (
        str(len(found.matched)),
        f"{100 * found.base.accuracy:.1f} %, {found.base.tokens:.1f} tokens",
        points(found.plain),
        f"{100 * np.mean([row.accuracy for row in found.matched]):.1f} %",
        f"{np.mean(heats):.2f} ({min(heats):.2f} to {max(heats):.2f})",
        points(found.accuracy),
        percent(found.tokens),
        points(found.greedy),
    )


main = printer("sharpening", "arms less their base at equal entropy", table)

if __name__ == "__main__":
    sys.exit(main())
