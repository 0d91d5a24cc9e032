"""The table of a trial in Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.stages.killing.faults import faults
from benchmarks.stages.killing.plan import Kill

HEAD = "| no. | killed | stage, phase, step | after | exit | end | nothing left after | last line | faults |"
# Folders of the machine in a last line. They say nothing elsewhere.
FOLDER = re.compile(r"/\S*/(?=\w)")


def page(kills: Sequence[Kill], result: Mapping[str, Mapping[str, Any]]) -> str:
    """Rows of all kills, then what the stages ended with."""
    lines = [HEAD, "| " + " | ".join(["---"] * (HEAD.count("|") - 1)) + " |", *map(_row, kills), ""]
    for stage, found in result.items():
        same = "the same bits" if found["same"] else "OTHER WEIGHTS"
        lines.append(f"- {stage}: {same}, rows of steps {found['rows']}, extra rounds {found['extra_rounds']}")
        lines += [f"- {stage}: left in the run folder: {name}" for name in found["hidden"]]
    return "\n".join(lines)


def _row(kill: Kill) -> str:
    where = f"{kill.stage}, {kill.phase}, {kill.step}"
    last = FOLDER.sub("", kill.last[-1]).replace("|", "/") if kill.last else ""
    cells = [
        kill.number,
        f"{kill.kind}: {kill.victim}" if kill.victim else kill.kind,
        where,
        f"{kill.delay:.2f} s",
        kill.code,
        f"{kill.seconds_to_end:.1f} s",
        f"{kill.seconds_to_nothing:.1f} s",
        f"`{last}`",
        ", ".join(faults(kill)) or "none",
    ]
    return "| " + " | ".join(map(str, cells)) + " |"
