"""Kills of a small two-stage run: the same command again must end with the same weights, and nothing may be left.

    python -m benchmarks.stages.kills OUT [--kills 20] [--seed 0] [--clock] [--minutes 120] [--stages judge generate]

Both stages train the tiny base with dynamic sampling on a CPU. A run without kills gives the weights to be met, and
how long each phase takes. Each kill waits for a phase and then for a random share of that phase's time. With
``--clock`` times are drawn over whole steps, and each kind comes before any comes again. The seed gives the kinds, the
phases and the shares. ``OUT/kills.jsonl`` records what was done and seen, and what was left after 10 s.
Where a kill finds no run or no step, the run ends, its weights are compared, and the stage begins anew.
``OUT/ends.jsonl`` records each comparison. The same command goes on with the kills that are still to be made.
A full disk needs a loop device, and want of memory needs control groups of version 1. A machine without these lacks
the kind.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.stages.killing.limits import memory_group, small_disk
from benchmarks.stages.killing.page import page
from benchmarks.stages.killing.plan import ANY, OF_A_STEP, STAGES, STEPS, Kill, clock, plan
from benchmarks.stages.killing.running import (
    Running,
    again,
    ended,
    finish,
    one_kill,
    sealed,
    short_folder,
    undisturbed,
    verdict,
)

RECORD, ENDS = "kills.jsonl", "ends.jsonl"


def recorded(path: Path) -> list[Kill]:
    """The kills that earlier calls have made."""
    return [Kill(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def ends(path: Path) -> dict[str, dict[str, Any]]:
    """The ended runs and how they compare, by stage and number, over all calls."""
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {f"{row['stage']}, run {number}": row for number, row in enumerate(rows, 1)}


class Trial:
    """The kills of a plan, on runs in ``out`` that the same command starts again. ``until`` ends the call."""

    def __init__(self, out: Path, kills: list[Kill], until: float) -> None:
        self.out, self.kills, self.until = out, kills, until
        self.sessions = short_folder(out)

    def go(self) -> None:
        """Make the kills that are still to be made, and let each stage end."""
        folder = self.out / "killed"
        with (
            small_disk(self.out / "disk.img", folder / "runs") as disk,
            memory_group(f"kills-{self.sessions.name}") as group,
        ):
            for stage in STAGES:
                left = [kill for kill in self.kills[len(recorded(self.out / RECORD)) :] if kill.stage == stage]
                if not left and any(row["stage"] == stage for row in ends(self.out / ENDS).values()):
                    continue
                if time.monotonic() > self.until:
                    return
                phases = undisturbed(self.out, stage, self.sessions)
                for kill in left:
                    if time.monotonic() > self.until:
                        return
                    self._make(kill, phases, disk, group)
                self._end(stage)

    def _end(self, stage: str) -> None:
        """Let the killed run end, and compare its weights with the undisturbed run's."""
        finish(self.out / "killed", stage, self.sessions)
        with (self.out / ENDS).open("a") as file:
            file.write(json.dumps({"stage": stage, **verdict(self.out / "whole", self.out / "killed", stage)}) + "\n")

    def _make(self, kill: Kill, phases: dict[str, float], disk: Path | None, group: Path | None) -> None:
        if {"disk": disk, "memory": group}.get(kill.kind, self.out) is None:
            kill.phase = "not on this machine"
        else:
            folder = self.out / "killed"
            trained = sealed(folder, kill.stage) >= STEPS
            if ended(folder / "runs" / kill.stage) or (trained and kill.wanted in (ANY, *OF_A_STEP)):
                self._end(kill.stage)
                again(folder, kill.stage)
            running = Running(folder, kill.stage, self.sessions, group)
            one_kill(kill, running, phases, disk, group)
        with (self.out / RECORD).open("a") as file:
            file.write(json.dumps(asdict(kill)) + "\n")
        print(f"{kill.number} {kill.kind} in {kill.stage} {kill.phase} {kill.step}: {kill.code}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clock", action="store_true", help="draw times over whole steps, and kinds in turn")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES, help="the stages that are killed")
    parser.add_argument("--minutes", type=float, default=120.0, help="no further kill after these, in this call")
    options = parser.parse_args()
    out = options.out.absolute()
    kills = (clock if options.clock else plan)(options.kills, options.seed, options.stages)
    trial = Trial(out, kills, time.monotonic() + options.minutes * 60)
    trial.go()
    print(page(recorded(out / RECORD), ends(out / ENDS)))


if __name__ == "__main__":
    main()
