"""How much judging taught against where a run ends: ``python -m benchmarks.lab.dose [--plot FILE] [--cell CELL]``.

A run of chain-92-05 either leaves the rechecks or ends as vanilla does. The dose is the share of unreliable facts
that solving writes right at the hand-over, above the share by the base's beliefs. Every committed run counts.
The bounds were set on chain-92-05, so another cell tests them. The runs of chain-95-05 broke the bound of .25.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.lab.cells import setting_of
from benchmarks.lab.checks import FEWEST, LAST, end_of_judging, learnt, mean_point
from benchmarks.lab.command import BadInput, Parser, one_line, read_object, writable_file
from benchmarks.lab.map import MAIN_ARMS, OCTET
from benchmarks.lab.measured import RESULTS
from benchmarks.lab.records import LABEL
from benchmarks.lab.tables import markdown_table

CELL = "chain-92-05"  # and its instances
# Runs of these doses were first looked at before the bounds were set.
HEAD = ("facts learnt at the hand-over", "runs", "left the rechecks", "end accuracy", "end tokens")
PLOTS = (".png", ".pdf", ".svg")
BOUNDS = (-math.inf, 0.15, 0.2, 0.25, 0.3, 0.4, math.inf)


@dataclass(frozen=True)
class Dose:
    """One judge-first run: what solving had learnt at the hand-over, and means over the last evaluations."""

    record: str
    arm: str
    rate: float
    learnt: float
    accuracy: float
    tokens: float
    rechecks: float

    @property
    def left(self) -> bool:
        """Whether the run has stopped writing rechecks."""
        return self.rechecks < FEWEST


def doses(cell: str = CELL) -> Iterator[Dose]:
    """Each complete judge-first run of every committed record of a cell and its instances."""
    for file, octet in judged():
        if setting_of(octet["cell"]) == cell:
            yield from (_dose(file, octet["arm"]["name"], run) for run in octet["runs"])


def judged() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Each complete judge-first octet that is committed."""
    for file in sorted(RESULTS.rglob("octet-*.json")):
        octet = read_object(file, *OCTET)
        if octet["complete"] and octet["arm"]["name"] in MAIN_ARMS:
            yield file, octet


def _dose(file: Path, arm: str, run: dict[str, Any]) -> Dose:
    curve = run["curve"]
    at = end_of_judging(curve)
    if at is None:
        raise BadInput(f"{file}: no stage of judging hands over to solving in a run of {arm}: copy the file anew")
    end = mean_point(curve[-LAST:])
    return Dose(record_of(file), arm, run["rate"], learnt(curve[at]), end["accuracy"], end["tokens"], end["rechecks"])


def record_of(file: Path) -> str:
    return file.relative_to(RESULTS).parts[0]


def table(runs: Sequence[Dose]) -> list[str]:
    """Runs by dose: how many, how many left their rechecks, and the accuracies and tokens at the end."""
    rows = []
    for low, high in pairwise(BOUNDS):
        inside = [run for run in runs if low <= run.learnt < high]
        left = sum(run.left for run in inside)
        ends = [f"{min(v):{form}} to {max(v):{form}}" for v, form in _ends(inside)] if inside else ["", ""]
        rows.append((between(low, high), str(len(inside)), str(left), *ends))
    return markdown_table(HEAD, rows)


def between(low: float, high: float) -> str:
    if math.isinf(low):
        return f"below {high:.2f}"
    return f"{low:.2f} and more" if math.isinf(high) else f"{low:.2f} to {high:.2f}"


def _ends(runs: list[Dose]) -> tuple[tuple[list[float], str], tuple[list[float], str]]:
    return ([run.accuracy for run in runs], ".2f"), ([run.tokens for run in runs], ".0f")


def plot(runs: Sequence[Dose], cell: str, file: Path) -> None:
    """A point for each run: end accuracy over the dose."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 4.5))
    for record in sorted({run.record for run in runs}):
        own = [run for run in runs if run.record == record]
        axis.plot([run.learnt for run in own], [run.accuracy for run in own], "o", label=record, alpha=0.7)
    axis.set_xlabel("unreliable facts learnt at the hand-over")
    axis.set_ylabel("accuracy at the end")
    axis.set_title(f"{LABEL}: {cell}", fontsize=9)
    axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(file, dpi=80)
    plt.close(figure)


@one_line
def main(arguments: Sequence[str] | None = None) -> int:
    made = Parser(prog="python -m benchmarks.lab.dose", description=f"{LABEL}: dose of judging")
    made.add_argument("--plot", type=Path, help="file of a plot; needs matplotlib")
    made.add_argument("--cell", default=CELL, help="a cell whose instances count too")
    options = made.parse_args(arguments)
    runs = list(doses(options.cell))
    if not runs:
        known = sorted({setting_of(octet["cell"]) for _, octet in judged()})
        raise BadInput(f"--cell: no judge-first run of {options.cell!r} is committed, only of {', '.join(known)}")
    if options.plot:
        plot(runs, options.cell, writable_file(options.plot, PLOTS))
    print("\n".join(table(runs)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
