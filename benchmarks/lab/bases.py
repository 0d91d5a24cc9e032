"""What the bases look like before training: ``python -m benchmarks.lab.bases`` prints a line a record.

Below the table stands the range of two measures in chain-92-05 and in its twin.
"""

from __future__ import annotations

import sys

from benchmarks.lab.cells import setting_of
from benchmarks.lab.checks import Point, mean_point
from benchmarks.lab.page import POOL, labels, results
from benchmarks.lab.tables import markdown_table, printer

HEAD = ("record", "cell", "pass@1", "mixed groups of 16", "natural less no rechecks", "recheck at every step less none")
WORLDS = ("chain-92-05", "twin-92-05")


def bases() -> list[tuple[tuple[str, str], Point]]:
    """Record, cell and mean point at step 0 of each committed vanilla arm."""
    cells = [(record, cell) for record, cell in results() if record != POOL]
    starts = [(at, [run["curve"][0] for run in at[1].octets["vanilla"]["runs"]]) for at in cells]
    return [(labels(*at), mean_point(start)) for at, start in starts]


def premium(base: Point) -> float:
    return base["every_accuracy"] - base["none_accuracy"]


def table() -> list[str]:
    return markdown_table(HEAD, [(*at, *_figures(base)) for at, base in bases()])


def _figures(base: Point) -> tuple[str, ...]:
    natural = base["accuracy"] - base["none_accuracy"]
    return f"{base['accuracy']:.3f}", f"{base['mixed_groups']:.3f}", f"{natural:+.3f}", f"{premium(base):+.3f}"


def sentences() -> list[str]:
    """The two measures that differ, for the page of the diagnosis."""
    chains, twins = ([at for at in bases() if setting_of(at[0][1]) == world] for world in WORLDS)
    chain, twin = (f"in {_counted({cell for (_, cell), _ in group})}" for group in (chains, twins))
    mixed = [_range([base["mixed_groups"] for _, base in group], ".3f") for group in (chains, twins)]
    gain = [_range([premium(base) for _, base in group], "+.3f") for group in (chains, twins)]
    return [
        f"Mixed groups of 16: {mixed[0]} {chain} of {WORLDS[0]}, and {mixed[1]} {twin} of the twin.",
        f"Recheck at every step less none: {gain[0]} {chain} of {WORLDS[0]}, and {gain[1]} {twin} of the twin.",
    ]


def _counted(names: set[str]) -> str:
    """Records of a cell are a single base, trained anew."""
    return "one base" if len(names) == 1 else f"{len(names)} bases"


def _range(values: list[float], form: str) -> str:
    if not values:
        return "none"
    ends = [f"{value:{form}}" for value in (min(values), max(values))]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


main = printer("bases", "measures of the bases", lambda: [*table(), "", *sentences()])

if __name__ == "__main__":
    sys.exit(main())
