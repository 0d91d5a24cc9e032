"""Faults of an end after a kill: a wrong exit code, a cause or a way on that no line names, and what was left."""

from __future__ import annotations

import re
import signal

from benchmarks.stages.killing.plan import VICTIMS, Kill
from rewards.errors import BAD_INPUT

# What is written of a kill that came too late.
NOBODY = "nobody: the run was over"
# What the last line must say of each kind.
CAUSES = {
    "sigterm": r"SIGTERM(; |, the step was finished; )",
    "disk": r"no space left on the device",
    "memory": r"out of memory: the kernel killed \d+ process",
    "raylet": r"raylet.* was killed by SIGKILL",
    **{kind: r"process \d+.* was killed: SIGKILL" for kind in VICTIMS if kind != "raylet"},
}
REFUSED = r"^error: .*: no space left .*; free some, or set runs= to another disk$"
# The whole command, or the one that was given, where no run is prepared yet.
WAY_ON = re.compile(r"--resume \S+ --out \S+$|[Tt]he same command goes on|give the same command again")


def faults(kill: Kill) -> list[str]:
    """What is wrong with the end. A command whose own process was killed at once can say nothing."""
    found = [f"left: {name}" for name in kill.left] + [f"not finite: {name}" for name in kill.not_finite]
    if kill.tracebacks:
        found.append(f"{kill.tracebacks} tracebacks")
    if kill.victim == NOBODY or kill.code == 0:
        # The run ended well, before the kill or in spite of the kill.
        return found
    if kill.code == -signal.SIGKILL:
        return found if kill.kind in ("driver", "memory") else [*found, "the command was killed"]
    if kill.kind == "disk" and kill.code == BAD_INPUT and re.search(REFUSED, kill.last[-1] if kill.last else ""):
        # The checks of the start found the full disk, so nothing had begun.
        return found
    if kill.code != (wanted := 128 + signal.SIGTERM if kill.kind == "sigterm" else 1):
        found.append(f"exit code {kill.code} and not {wanted}")
    if not re.search(CAUSES.get(kill.kind, "$^"), kill.last[-1] if kill.last else ""):
        found.append("no cause")
    if not any(WAY_ON.search(line) for line in kill.last):
        found.append("no way on")
    return found
