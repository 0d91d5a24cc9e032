"""Both stages on several CPU ranks against one rank, and a checkpoint that goes on with other numbers of ranks.

    python -m benchmarks.stages.rank_equality OUT [--base qwen3_moe] [--ranks 1,2,4] [--saved 2]

Each run is the stage's own command with ``cluster.gpus_per_node``. Stage 1 reads written candidates, and stage 2 starts
from the first run's judge. A run of one step with ``--saved`` ranks is copied, and each copy goes on for a further step
with one of ``--ranks``. The copies are compared with the undisturbed run of ``--saved`` ranks. Runs that are finished
stay, so that the same call goes on. The command prints the tables.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from benchmarks.stages.rank_figures import HEAD, Difference, Weights, differences, table_row
from judgerlvr.cli import MODULES
from judgerlvr.config.load import ROOT
from tests.helpers.stage_runs import SMALL, write_candidates

STAGES = ("judge", "generate")
STEPS = 2
# Seconds that a run took, and GiB of the machine's memory that its processes needed at most.
COSTS = "costs.json"
# With a warm-up the first step would have the learning rate 0.
EACH = ("checkpoint.every=1", "checkpoint.keep=0", "optimizer.warmup_steps=0")
SETTINGS = [
    *SMALL,
    *(f"{stage}.{key}" for stage in STAGES for key in EACH),
    "generate.algorithm.dynamic_sampling=false",
    "generate.max_response_tokens=64",
    "logging.rollouts_per_step=8",
]


@dataclass(frozen=True)
class Trial:
    """All runs of a call below ``out``."""

    out: Path
    base: Path
    stages: Sequence[str]
    ranks: Sequence[int]
    saved: int

    def start(self, stage: str) -> Path:
        """The policy that a stage starts from."""
        return self.base if stage == "judge" else (self.out / str(self.ranks[0]) / "ckpt" / "judge").resolve()

    def run(self, name: str, stage: str, ranks: int, steps: int = STEPS) -> Path:
        """Train a stage in the folder ``name``, unless that is done. Returns the run folder.

        Raises:
            SystemExit: the command failed.
        """
        folder = self.out / name
        folder.mkdir(parents=True, exist_ok=True)
        wanted = folder / "runs" / stage / "checkpoints" / f"global_step_{steps}" / "policy"
        if not wanted.exists():
            log = folder / f"{stage}.log"
            print(f"{name}: {stage} with {ranks} ranks", flush=True)
            with log.open("a") as file, self._costs(f"{name} {stage}"):
                done = subprocess.run(self._command(folder, stage, ranks, steps), stdout=file, stderr=file, cwd=ROOT)
            if done.returncode:
                raise SystemExit(f"{name}: {stage} failed: {log.read_text().splitlines()[-1]}")
        return folder / "runs" / stage

    def _command(self, folder: Path, stage: str, ranks: int, steps: int) -> list[str]:
        candidates = self.out / "candidates.jsonl"
        if not candidates.exists():
            write_candidates(candidates)
        first = [] if stage == "judge" else ["--init", str(self.start(stage))]
        own = [
            f"judge.data.responses=[{candidates}]",
            f"model.path={self.base}",
            f"{stage}.stop.steps={steps}",
            f"cluster.gpus_per_node={ranks}",
            f"runs={folder / 'runs'}",
        ]
        place = ["--out", str(folder / "ckpt" / stage)]
        return [sys.executable, "-m", f"judgerlvr.{MODULES[stage]}", *SETTINGS, *own, *first, *place]

    @contextmanager
    def _costs(self, name: str) -> Iterator[None]:
        path = self.out / COSTS
        before, since = available_gib(), time.monotonic()
        with least_available() as least:
            yield
        known = self.costs() | {name: (time.monotonic() - since, before - min(least))}
        path.write_text(json.dumps(known, indent=1))

    def costs(self) -> dict[str, tuple[float, float]]:
        path = self.out / COSTS
        return {name: tuple(cost) for name, cost in json.loads(path.read_text()).items()} if path.exists() else {}

    def weights(self, stage: str) -> Weights:
        """The weights that a stage starts from, by the names of the trainer."""
        model = AutoModelForCausalLM.from_pretrained(self.start(stage), dtype=torch.float32)
        return dict(model.state_dict())

    def equality(self, stage: str) -> list[tuple[str, Difference]]:
        """Each number of ranks against the first."""
        runs = {ranks: self.run(str(ranks), stage, ranks) for ranks in self.ranks}
        start, first = self.weights(stage), runs[self.ranks[0]]
        return [(f"{ranks} ranks", found) for ranks, run in runs.items() for found in differences(run, first, start)]

    def continuations(self, stage: str) -> list[tuple[str, Difference]]:
        """The last step of each continuation against the undisturbed run of the ranks that saved."""
        saved = self.run("saved", stage, self.saved, steps=1)
        whole, start = self.run(str(self.saved), stage, self.saved), self.weights(stage)
        rows = []
        for ranks in self.ranks:
            name = f"continued-{ranks}"
            folder = self.out / name / "runs" / stage
            if not folder.exists():
                shutil.copytree(saved, folder)
            run = self.run(name, stage, ranks)
            rows += [(f"{self.saved} -> {ranks} ranks", found) for found in differences(run, whole, start, STEPS)]
        return rows


def available_gib() -> float:
    """Memory of the machine that programs can still have, GiB."""
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(fields["MemAvailable"].split()[0]) / 2**20


@contextmanager
def least_available() -> Iterator[list[float]]:
    """Collects the available memory once a second."""
    seen, done = [available_gib()], threading.Event()

    def look() -> None:
        while not done.wait(1.0):
            seen.append(available_gib())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def page(trial: Trial) -> str:
    """Train what is missing. Returns the tables in Markdown."""
    lines = []
    for stage in trial.stages:
        for title, rows in (("equality", trial.equality(stage)), ("continued", trial.continuations(stage))):
            outside = [name for name, found in rows if not found.within]
            lines += ["", f"{stage}, {title}; outside of the tolerance: {', '.join(outside) or 'none'}", "", HEAD]
            lines += ["| " + " | ".join(["---"] * (HEAD.count("|") - 1)) + " |"]
            lines += [table_row(name, found) for name, found in rows]
    lines += ["", "| run | seconds | GiB |", "| --- | --- | --- |"]
    lines += [f"| {name} | {seconds:.0f} | {gib:.1f} |" for name, (seconds, gib) in trial.costs().items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--base", default="qwen3_moe", help="a base of the tiny world")
    parser.add_argument("--ranks", default="1,2,4", help="numbers of ranks, the one to compare with first")
    parser.add_argument("--saved", type=int, default=2, help="ranks that save the checkpoint")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    options = parser.parse_args()
    ranks = [int(count) for count in options.ranks.split(",")]
    base = ROOT / "judgerlvr" / "tinyworld" / "base" / options.base
    os.environ.pop("RAY_ADDRESS", None)
    print(page(Trial(options.out.absolute(), base, options.stages, ranks, options.saved)))


if __name__ == "__main__":
    main()
