"""What a user sees at the hand-over: ``python -m benchmarks.lab.handover`` prints gains in solving by run's end.

The lab ends judging by the share of facts learnt, which reads the world. A user has accuracy on problems alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.lab import dose
from benchmarks.lab.cells import instance_of, setting_of
from benchmarks.lab.checks import FEWEST, LAST, end_of_judging, mean_point
from benchmarks.lab.tables import markdown_table, printer

HEAD = ("instance", "arm", "runs that left the rechecks", "runs that stayed")
BY_DOSE = ("judge-until", "judge-most")
BOUND, CHOSEN = 0.13, "2026-11-30"  # by looking at the records up to this day


@dataclass(frozen=True)
class Gain:
    """Accuracy at the hand-over less the base's, both at temperature 1, and whether the run left the rechecks."""

    record: str
    cell: str
    arm: str
    accuracy: float
    left: bool


def gains(cell: str = dose.CELL) -> Iterator[Gain]:
    """Each complete judge-first run of a cell and its instances."""
    for file, octet in dose.judged():
        if setting_of(octet["cell"]) == cell:
            for run in octet["runs"]:
                at = end_of_judging(run["curve"])
                assert at is not None, file
                gain = run["curve"][at]["accuracy"] - run["curve"][0]["accuracy"]
                left = mean_point(run["curve"][-LAST:])["rechecks"] < FEWEST
                yield Gain(dose.record_of(file), octet["cell"], octet["arm"]["name"], gain, left)


def table() -> list[str]:
    """A line for each instance whose judging ended by dose."""
    by_dose = [one for one in gains() if one.arm in BY_DOSE]
    kinds = sorted({(instance_of(one.cell), one.arm, one.cell) for one in by_dose})
    return markdown_table(
        HEAD,
        [
            (
                str(number),
                arm,
                *(_listed([o for o in by_dose if o.cell == cell and o.left is left]) for left in (True, False)),
            )
            for number, arm, cell in kinds
        ],
    )


def _listed(runs: list[Gain]) -> str:
    return ", ".join(f"{one.accuracy:+.3f}" for one in sorted(runs, key=lambda one: one.accuracy))


def sentence() -> str:
    """Over all judge-first runs of the cell, by a bound on the gain."""
    total, above, below = counted(list(gains()))
    return (
        f"Of all {total} judge-first runs of {dose.CELL}, {above} with a gain of {BOUND} and more left, "
        f"and {below} with less."
    )


def later_sentence() -> str:
    """Over the runs that came after the bound."""
    total, above, below = counted([one for one in gains() if one.record[: len(CHOSEN)] > CHOSEN])
    return f"Of the {total} runs that came later, {above} with that gain left, and {below} with less."


def counted(runs: list[Gain]) -> tuple[int, str, str]:
    """All runs, those that left of the runs from the bound on, and those of the runs below."""
    low, high = ([one.left for one in runs if (one.accuracy >= BOUND) is above] for above in (False, True))
    return len(runs), f"{sum(high)} of {len(high)}", f"{sum(low)} of {len(low)}"


main = printer("handover", "gains at the hand-over", lambda: [*table(), "", sentence(), later_sentence()])

if __name__ == "__main__":
    sys.exit(main())
