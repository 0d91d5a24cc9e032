"""Kills of a pipeline on a cluster of two training nodes: the pipeline itself goes on, to the undisturbed weights.

    python -m benchmarks.stages.pipeline_kills OUT [--seed 0]

One kill each of a rollout server, a reward worker, a trainer, a node and the pipeline's own process, in an order that
the seed draws: two while stage 1 runs, three while stage 2 runs. Each kill comes at a time that the seed draws over
the undisturbed command's seconds. The pipeline restarts its command, a dead node is started again, and a dead pipeline
is given again by the same command. ``OUT/kills.jsonl`` records each kill.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.data.candidate_kills import Cluster, descendants, kill
from benchmarks.stages.cluster_kills import (
    KILLS,
    KINDS,
    LIMIT,
    NODE,
    PATIENCE,
    Row,
    command_line,
    groups,
    strike,
    wait_for_nodes,
    wait_until,
    workers,
)
from data.jsonl import write_jsonl
from judgerlvr.config.load import ROOT
from tests.helpers.leftovers import is_locked, shared_memory, unmapped
from tests.helpers.stage_runs import PLAN, SMALL, write_candidates

STAGES = {"judge": "stage1_judge", "generate": "stage2_generate"}
# The stage of each kill.
PLACES = ("judge", "judge", "generate", "generate", "generate")
# A command that was killed before may have finished some steps, and a command without compiling is shorter.
LATEST = 0.8


def write_plan(out: Path) -> Path:
    """A plan of two steps a stage, with candidates beside."""
    write_candidates(out / "candidates.jsonl")
    both = ("stop.steps=2", "checkpoint.every=1", "checkpoint.keep=0", "algorithm.dynamic_sampling=false")
    words = [*SMALL[1:], *(f"{stage}.{word}" for stage in STAGES for word in both), "cluster.nodes=2"]
    path = out / "plan.yaml"
    listed = [*words, f"'judge.data.responses=[{out / 'candidates.jsonl'}]'"]
    path.write_text(PLAN.format(overrides=", ".join(listed)), encoding="utf-8")
    return path


class Pipeline:
    """The command, in a folder of its own."""

    def __init__(self, out: Path, name: str, cluster: Cluster) -> None:
        self.plan, self.folder, self.cluster = out / "plan.yaml", out / name, cluster
        self.log = out / f"{name}.log"

    def start(self) -> subprocess.Popen[bytes]:
        words = [
            sys.executable,
            "-m",
            "judgerlvr.experiment",
            str(self.plan),
            "--out",
            str(self.folder),
            "--restarts",
            "9",
        ]
        with self.log.open("a") as log:
            return subprocess.Popen(words, stdout=log, stderr=log, cwd=ROOT, env=self.cluster.environment)

    def stage(self, process: int) -> tuple[str, int]:
        """The stage that runs now, and its command's process. Empty and 0 between commands."""
        for below in descendants(process):
            line = command_line(below)
            for stage, module in STAGES.items():
                if f"-m judgerlvr.{module} " in line:
                    return stage, below
        return "", 0

    def last(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return lines[-1] if lines else ""

    def weights(self) -> dict[str, str]:
        """SHA-256 of each stage's published weights."""
        from benchmarks.stages.killing.running import weights

        return {stage: weights(self.folder, stage) for stage in STAGES}

    def left_over(self, shared: set[str]) -> list[str]:
        return [
            *(f"process {name}" for name in workers(self.cluster).values()),
            *(f"lock {path.parent.name}" for path in self.folder.glob("*/lock") if is_locked(path.parent)),
            *(f"shared memory {name}" for name in sorted(unmapped(shared_memory() - shared))),
        ]


def undisturbed(pipeline: Pipeline) -> dict[str, float]:
    """Let the pipeline end. Returns each stage's seconds.

    Raises:
        SystemExit: the pipeline failed without a kill.
    """
    process, seconds = pipeline.start(), dict.fromkeys(STAGES, 0.0)
    try:
        while process.poll() is None:
            time.sleep(1)
            stage, _ = pipeline.stage(process.pid)
            if stage:
                seconds[stage] += 1
    finally:
        end(process)
    if process.returncode:
        raise SystemExit(f"failed without a kill: {pipeline.last()}")
    return seconds


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a pipeline with its commands, as a failure of this script must leave none."""
    for one in [*descendants(process.pid), process.pid]:
        kill(one)
    process.wait()


class Trial:
    """The kills of a plan in one pipeline."""

    def __init__(self, pipeline: Pipeline, seconds: dict[str, float], draw: random.Random) -> None:
        self.pipeline, self.seconds, self.draw = pipeline, seconds, draw
        self.process, self.struck = pipeline.start(), 0
        self.rows: list[Row] = []

    def one_kill(self, kind: str, place: str) -> None:
        """Wait for a command of the stage that was not killed yet, then for the drawn time, and kill."""
        delay = self.draw.uniform(0, LATEST) * self.seconds[place]
        stage, command = self._next(place)
        if not stage:
            return
        wait_until(lambda: self.pipeline.stage(self.process.pid)[1] != command, delay)
        due = time.monotonic()
        victim = strike(kind, self.pipeline.cluster, self.process, self.draw)
        self.struck, struck = command, time.monotonic()
        row: Row = {"kind": kind, "killed": victim, "stage": stage, "due after": round(delay, 1)}
        row |= {"later by": round(struck - due, 1), "doing": self.pipeline.last()}
        if kind == "node":
            self.pipeline.cluster.start()
            wait_for_nodes(self.pipeline.cluster)
        gone = kind == "driver" and self.process.wait() is not None
        wait_until(lambda: self.pipeline.stage(self.process.pid)[1] != command, LIMIT)
        row["command gone after"] = round(time.monotonic() - struck, 1)
        if gone:
            wait_until(lambda: not workers(self.pipeline.cluster), PATIENCE)
            row["orphans"] = list(workers(self.pipeline.cluster).values())
            self.process = self.pipeline.start()
        self.rows.append(row)
        print(json.dumps(row), flush=True)

    def _next(self, place: str) -> tuple[str, int]:
        """The next command of a stage or of a later stage. Empty and 0 where the pipeline ends before."""
        while self.process.poll() is None:
            stage, command = self.pipeline.stage(self.process.pid)
            if command not in (0, self.struck) and PLACES.index(stage) >= PLACES.index(place):
                return stage, command
            time.sleep(0.2)
        return "", 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages.pipeline_kills", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    write_plan(out)
    cluster = Cluster(out, NODE, ("127.0.0.1", "127.0.0.2"))
    try:
        cluster.start()
        wait_for_nodes(cluster)
        whole = Pipeline(out, "whole", cluster)
        seconds = undisturbed(whole)
        print(json.dumps(seconds), flush=True)
        return killed(Pipeline(out, "killed", cluster), whole, seconds, random.Random(options.seed))
    finally:
        cluster.stop()


def killed(pipeline: Pipeline, whole: Pipeline, seconds: dict[str, float], draw: random.Random) -> int:
    """Make the kills, let the pipeline end, and compare. Returns 0 where all is well."""
    shared, kinds = shared_memory(), draw.sample(KINDS, len(KINDS))
    trial = Trial(pipeline, seconds, draw)
    try:
        for kind, place in zip(kinds, PLACES, strict=True):
            trial.one_kill(kind, place)
        wait_until(lambda: trial.process.poll() is not None, 3 * LIMIT)
        code = trial.process.poll()
    finally:
        end(trial.process)
    write_jsonl(pipeline.log.with_name(KILLS), trial.rows)
    wait_until(lambda: not pipeline.left_over(shared), PATIENCE)
    left = [*pipeline.left_over(shared), *groups(pipeline.cluster)]
    same = {stage: found == whole.weights()[stage] for stage, found in pipeline.weights().items()}
    print(json.dumps({"kills": len(trial.rows), "exit": code, "same bits": same, "left": left}), flush=True)
    well = code == 0 and len(trial.rows) == len(KINDS) and all(row["killed"] for row in trial.rows)
    return 0 if well and all(same.values()) and not left else 1


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
