"""The base as the unit: ``python -m benchmarks.lab.between_bases`` prints both intervals of each arm of a world.

All pairs of a record start from the same base. An interval over pairs therefore tells of the bases that were drawn.
An interval over the means of bases tells of bases not drawn. Records of a cell are a single base, trained anew.
"""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from dataclasses import dataclass

from benchmarks.lab.cells import FRESH, setting_of
from benchmarks.lab.map import MAIN_ARMS, percent, points
from benchmarks.lab.page import POOL, results
from benchmarks.lab.pairs import accuracy_difference, end, paired_curves
from benchmarks.lab.statistics import Estimate, estimate
from benchmarks.lab.tables import markdown_table, printer

HEAD = (
    "world",
    "arm",
    "bases",
    "pairs",
    "points, over pairs",
    "points, over bases",
    "tokens, over bases",
)


@dataclass(frozen=True)
class Difference:
    """A pair of a base: arm less vanilla in accuracy, and the log of vanilla's tokens over the arm's."""

    base: str
    accuracy: float
    shortening: float

    @property
    def fresh(self) -> bool:
        return FRESH in self.base


Group = tuple[str, str]  # world, arm


def differences() -> dict[Group, list[Difference]]:
    """Every pair of every judge-first arm, by world and arm. Pools would count pairs twice."""
    found: dict[Group, list[Difference]] = defaultdict(list)
    for record, cell in results():
        for name in cell.octets:
            if record != POOL and name in MAIN_ARMS and "vanilla" in cell.octets:
                pairs = paired_curves(cell.octets[name], cell.octets["vanilla"])
                group = found[setting_of(cell.name), name]
                group += [
                    Difference(
                        cell.name,
                        accuracy_difference(mine, theirs),
                        math.log(end(theirs, "tokens") / end(mine, "tokens")),
                    )
                    for mine, theirs in pairs
                ]
    return found


def over_bases(group: list[Difference], figure: str) -> Estimate:
    """The mean of each base's pairs is a single value."""
    by_base = defaultdict(list)
    for one in group:
        by_base[one.base].append(getattr(one, figure))
    return estimate([sum(values) / len(values) for values in by_base.values()])


def table() -> list[str]:
    """A line for each arm that has run from several bases of a world, and a line for the registered instances alone."""
    rows = []
    for (world, arm), every in differences().items():
        registered = [one for one in every if one.fresh]
        kinds = {world: every, f"{world}, registered": registered if len(registered) < len(every) else []}
        rows += [_cells(title, arm, group) for title, group in kinds.items() if len({one.base for one in group}) > 1]
    return markdown_table(HEAD, rows)


def _cells(title: str, arm: str, group: list[Difference]) -> tuple[str, ...]:
    return (
        title,
        arm,
        str(len({one.base for one in group})),
        str(len(group)),
        points(estimate([one.accuracy for one in group])),
        points(over_bases(group, "accuracy")),
        percent(over_bases(group, "shortening")),
    )


main = printer("between_bases", "pairs and bases as the unit", table)

if __name__ == "__main__":
    sys.exit(main())
