"""Kills of a small two-stage run: the same command again must end with the same weights, and nothing may be left.

    python -m benchmarks.stages.kills OUT [--kills 20] [--seed 0] [--minutes 120]

Both stages train the tiny base with dynamic sampling on a CPU. A run without kills gives the weights to be met, and
how long each phase takes. Each kill waits for a phase and then for a random share of that phase's time. The seed gives
the kinds, the phases and the shares. ``OUT/kills.jsonl`` records what was done and seen, and what was left after 10 s.
The same command goes on with the kills that are still to be made. A full disk needs a loop device, and want of memory
needs control groups of version 1. A machine without these lacks the kind.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.stages.killing.limits import memory_group, small_disk
from benchmarks.stages.killing.page import page
from benchmarks.stages.killing.plan import STAGES, Kill, plan
from benchmarks.stages.killing.running import Running, finish, one_kill, short_folder, verdict, whole


def recorded(path: Path) -> list[Kill]:
    """The kills that earlier calls have made."""
    return [Kill(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def trial(out: Path, kills: list[Kill], phases: dict[str, float], until: float) -> list[Kill]:
    """Make the kills that are still to be made, each on a run that the same command has started again."""
    folder, record, sessions = out / "killed", out / "kills.jsonl", short_folder(out)
    done = recorded(record)
    with small_disk(out / "disk.img", folder / "runs") as disk, memory_group(f"kills-{sessions.name}") as group:
        offered = {"disk": disk, "memory": group}
        for kill in kills[len(done) :]:
            if time.monotonic() > until:
                return done
            if not offered.get(kill.kind, True):
                kill.phase = "not on this machine"
            else:
                finish(folder, STAGES[: STAGES.index(kill.stage)], sessions)
                one_kill(kill, Running(folder, kill.stage, sessions, group), phases, disk, group)
            done.append(kill)
            with record.open("a") as file:
                file.write(json.dumps(asdict(kill)) + "\n")
            print(f"{kill.number} {kill.kind} in {kill.stage} {kill.phase} {kill.step}: {kill.code}", flush=True)
        finish(folder, STAGES, sessions)
        result = verdict(out / "whole", folder)
        (out / "result.json").write_text(json.dumps(result, indent=1))
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=120.0, help="no further kill after these, in this call")
    options = parser.parse_args()
    out = options.out.absolute()
    until = time.monotonic() + options.minutes * 60
    phases = whole(out)
    done = trial(out, plan(options.kills, options.seed), phases, until)
    if (out / "result.json").exists():
        print(page(done, json.loads((out / "result.json").read_text())))


if __name__ == "__main__":
    main()
