"""Asynchronous against synchronous rollouts on the same cards, at a short and at a long tail of lengths.

    python -m benchmarks.stages.flowing.run OUT [--rounds 10] [--seconds 900] [--predict] [key=value ...]

Each tail has one policy with random weights, and two runs of the product's command: `sync` and `colocate_async`. All
four runs start at once. They then step in turn, so that no two steps share the cards. OUT/flowing.md and
OUT/flowing.json give seconds and tokens of each step beside what the planner predicts for the recorded lengths. With
--predict nothing is run: the plan for the lengths that the policies are made for is printed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.hysparse.long_rl.stages import end_all
from benchmarks.hysparse.long_rl.turns import FOLDER, NAME, POLL, Arbiter
from benchmarks.stages.flowing.cases import MODES, TAILS, TINY_TAILS, Tail, keys
from benchmarks.stages.flowing.figures import predictions, write_record
from benchmarks.stages.real_shapes import empty_config, make_policy, write_data


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--work", type=Path, help="folder of weights and runs (default OUT/work)")
    parser.add_argument("--shape", default="dense", help="of benchmarks.stages.engine_speed.shapes")
    parser.add_argument("--tails", nargs="+", choices=TAILS, default=list(TAILS))
    parser.add_argument("--rounds", type=int, default=10, help="steps of each run")
    parser.add_argument("--warm-up", type=int, default=3, help="steps of each run that do not count")
    parser.add_argument("--seconds", type=float, default=900, help="of the whole call")
    parser.add_argument("--after", type=Path, help="file that must be there before the first turn")
    parser.add_argument("--card", default="auto", help="of the plan")
    parser.add_argument("--predict", action="store_true")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    options = parser.parse_intermixed_args(arguments)
    options.work = (options.work or options.out / "work").resolve()
    options.tails = [(TINY_TAILS if options.shape.startswith("tiny") else TAILS)[name] for name in options.tails]
    return options


class Runs:
    """The four commands and their turns."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.begun = options, time.monotonic()
        self.turns = options.work / "turns"
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def all(self) -> dict[str, int | None]:
        """Step in turn until all runs end or the time is over. Returns the exit codes."""
        arbiter = Arbiter(self.turns, [f"{tail.name}-{mode}" for tail in self.options.tails for mode in MODES])
        for tail in self.options.tails:
            for mode in MODES:
                self.running[f"{tail.name}-{mode}"] = self.start(tail, mode)
        try:
            while alive := [name for name, process in self.running.items() if process.poll() is None]:
                if not self.options.after or self.options.after.exists():
                    arbiter.grant(alive)
                if time.monotonic() - self.begun > self.options.seconds:
                    break
                time.sleep(POLL)
        finally:
            arbiter.stop()
            end_all(list(self.running.values()))
        return {name: process.returncode for name, process in self.running.items()}

    def start(self, tail: Tail, mode: str) -> subprocess.Popen[bytes]:
        name = f"{tail.name}-{mode}"
        command = [sys.executable, "-m", "judgerlvr.stage2_generate", "--config", str(empty_config(self.options.work))]
        ends = ["--init", str(self.options.work / tail.name / "policy"), "--out", str(self.options.work / "out" / name)]
        told = {FOLDER: str(self.turns), NAME: name}
        with (self.options.out / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [*command, *keys(self.options, tail, mode), *ends],
                stdout=log,
                stderr=log,
                env=os.environ | told,
                start_new_session=True,
            )


def make_policies(options: argparse.Namespace) -> None:
    for tail in options.tails:
        folder = options.work / tail.name
        folder.mkdir(parents=True, exist_ok=True)
        write_data(folder, problems=2000)
        if not (folder / "policy").is_dir():
            make_policy(options.shape, folder, tail.mean)


def main() -> int:
    options = parse_arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    options.work.mkdir(parents=True, exist_ok=True)
    if options.predict:
        print(predictions(options))
        return 0
    make_policies(options)
    codes = Runs(options).all()
    write_record(options, codes)
    return max(code or 0 for code in codes.values())


if __name__ == "__main__":
    sys.exit(main())
