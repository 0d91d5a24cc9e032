"""Seconds by record, and runs without a line in the tables: ``python -m benchmarks.lab.spent`` prints both.

An octet that was cut before it wrote a file is known from the page of its record alone, so it is named here by hand.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.lab import coverage
from benchmarks.lab.cells import CONTROLS
from benchmarks.lab.command import read_object
from benchmarks.lab.dose import record_of
from benchmarks.lab.map import failed_checks_of_base
from benchmarks.lab.tables import markdown_table, printer

SECONDS_HEAD = ("record", "cell", "vanilla, GPU s", "other octets", "their GPU s")
UNLISTED_HEAD = ("record", "cell", "arm", "what there is")
# Of a base. Judging depends on the pool, which each folder samples anew, and entropies on rounding.
IDENTITY = ("accuracy", "tokens", "greedy_accuracy", "greedy_tokens")
BASE_SECONDS, POOL_SECONDS, BASE_RECORD = 127, 19, "2026-11-28-h100-exploratory"  # the only record that has these


@dataclass(frozen=True)
class Cut:
    """An octet that left no file. ``told`` is the words of its record's page, in its README."""

    record: str
    cell: str
    arm: str
    what: str
    told: str


CUT = (
    Cut("2026-11-28-h200-first", "chain-92-05", "penalty-low", "cut after step 50", "`penalty-low` reached step 50"),
    Cut("2026-11-28-h200-second", "chain-92-05", "penalty-high", "cut after step 90", "`penalty-high` at step 90"),
    Cut("2026-11-28-h200-second", "chain-92-05", "penalty-low", "cut after step 70", "`penalty-low` at step 70"),
    Cut(
        "2026-11-29-h200-third",
        "chain-92-05-controls",
        "generate-first",
        "cut at step 110",
        "`generate-first` was cut by the machine's end at step 110",
    ),
    Cut(
        "2026-11-29-h200-fourth",
        "chain-92-05-controls",
        "mixed",
        "cut at step 110",
        "`mixed` was cut by the machine's end at step 110",
    ),
    Cut("2026-11-30-h200-ninth", "gate-s-05", "vanilla", "cut after step 30, 90 s", "cut after step 30, in 90 seconds"),
    Cut(
        "2026-11-30-h200-ninth",
        "chain-92-05-recipes",
        "none",
        "cut while the base was trained",
        "A call of `chain-92-05-recipes` ended within the training of its base",
    ),
    Cut(
        "2026-11-30-h200-tenth",
        "recipes, on the base of instance 12",
        "judge-entropy, judge-blocks, judge-20, judge-fresh and judge-hard",
        "one call, cut with no arm complete",
        "left no complete octet. Its arms were judge-entropy, judge-blocks, judge-20, judge-fresh and judge-hard.",
    ),
)


def measured_bases() -> dict[Path, dict[str, Any]]:
    """Each ``checks.json``. Folders of one base are all in here."""
    return {file: read_object(file, "cell", "base") for file in sorted(coverage.RESULTS.rglob("checks.json"))}


def bases() -> int:
    """How many bases were trained. Folders whose bases have the same figures share a base."""
    return len({tuple(one["base"][name] for name in IDENTITY) for one in measured_bases().values()})


def seconds_table() -> list[str]:
    """A line for each record and cell. Octets that were cut and left a file count."""
    vanilla, other, count = Counter[tuple[str, str]](), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for file, octet in coverage.every_octet().items():
        at = record_of(file), octet["cell"]
        own = octet["arm"]["name"] == "vanilla"
        (vanilla if own else other)[at] += octet["seconds"]
        count[at] += not own
    rows = [(*at, _whole(vanilla[at]), str(count[at] or ""), _whole(other[at])) for at in count]
    total = [sum(seconds.values()) for seconds in (vanilla, other)]
    return markdown_table(
        SECONDS_HEAD, [*rows, ("all", "", _whole(total[0]), str(sum(count.values())), _whole(total[1]))]
    )


def _whole(seconds: float) -> str:
    return f"{seconds:,.0f}" if seconds else ""


def unlisted_table() -> list[str]:
    """Octets that were cut, vanilla arms with no arm beside, and bases of which no arm was trained."""
    rows = [(one.record, one.cell, one.arm, f"{one.what}. No file") for one in CUT]
    every = coverage.every_octet()
    for file, octet in every.items():
        at = record_of(file), octet["cell"], octet["arm"]["name"]
        if not octet["complete"]:
            rows.append((*at, f"cut after step {octet['last_step']}, {octet['seconds']:,.0f} s"))
        elif len([other for other in every if other.parent == file.parent]) == 1 and not _is_control(octet):
            rows.append((*at, "complete, no other arm beside"))
    trained = {file.parent for file in every} | {coverage.RESULTS / one.record / one.cell for one in CUT}
    for file, checks in measured_bases().items():
        if file.parent not in trained:
            failed = ", ".join(failed_checks_of_base(file))
            what = f"the base failed: {failed}" if failed else "the base passed, no arm was trained"
            rows.append((record_of(file), checks["cell"], "none", what))
    return markdown_table(UNLISTED_HEAD, sorted(rows, key=lambda row: row[0]))


def _is_control(octet: dict[str, Any]) -> bool:
    return str(octet["cell"]).endswith(CONTROLS)


def sentences() -> list[str]:
    """What was spent, for the page."""
    each = BASE_SECONDS + POOL_SECONDS
    return [
        f"{bases()} bases were trained and measured. One record has the seconds of a base: {BASE_SECONDS} s on an "
        f"H100, and {POOL_SECONDS} s for its judge pool. At {each} s each, {bases()} bases take {bases() * each:,} s.",
        f"{len(CUT)} calls were cut and left no file. So the sum of both is a lower bound: "
        f"{coverage.seconds() + bases() * each:,.0f} s.",
    ]


main = printer(
    "spent", "seconds and unlisted runs", lambda: [*seconds_table(), "", *unlisted_table(), "", *sentences()]
)

if __name__ == "__main__":
    sys.exit(main())
