"""Kills of a two-step stage on a cluster of two training nodes: the same command ends in the undisturbed weights.

    python -m benchmarks.stages.cluster_kills OUT [--kills 15] [--seed 0] [--minutes 12] [--kind KIND]

Both nodes are on this machine, with a training process and a rollout engine each. Each kill comes at a time that the
seed draws over the undisturbed command's seconds. The command is then given again, and meets the next kill. A run that
ends is compared with the undisturbed run, and a new run takes the further kills. ``OUT/kills.jsonl`` records each kill.
The same call goes on with the kills that are missing. ``--kind "sending trainer"`` kills trainers alone, each while
the trainer passes its weights to its engine.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.data.candidate_kills import Cluster, descendants, kill
from benchmarks.stages.killing.plan import VICTIMS
from benchmarks.stages.killing.running import weights
from data.jsonl import read_jsonl, write_jsonl
from judgerlvr.config.load import ROOT
from judgerlvr.engine.private.weights import FOLDER, VERLS
from judgerlvr.runs.checkpoints import complete
from judgerlvr.runs.manifest import MANIFEST
from tests.helpers.leftovers import is_locked, shared_memory, unmapped
from tests.helpers.stage_runs import SMALL, write_candidates

# Patterns of the workers' command lines. A node and the driver have none.
WORKERS = {
    "rollout server": VICTIMS["engine"],
    "reward worker": "^ray::RewardLoopWorker",
    "trainer": VICTIMS["trainer"],
}
ANY_WORKER = "^(ray|VLLM)::"
KINDS = (*WORKERS, "node", "driver")
# A trainer while it has the memory in which weights pass, with the names of that memory. A transfer takes 0.3 s.
SENDING = "sending trainer"
PASSING = ("judgerlvr-weights", "verl_weights_")
# Ray's own processes of a node, which a command does not start.
RESTING = ("ray::IDLE", "ray::DashboardAgent", "ray::RuntimeEnvAgent")
SETTINGS = [*SMALL, "judge.stop.steps=2", "judge.checkpoint.every=1", "judge.checkpoint.keep=0", "cluster.nodes=2"]
NODE = ("--num-cpus=16", "--num-gpus=1", "--object-store-memory=100000000")
LIMIT = 420.0
PATIENCE = 10.0
# A kill that finds the policy published is tried again so much earlier. Later commands compile less.
SOONER = 0.9
# Kills and the seconds of the undisturbed command, in the folder.
KILLS, SECONDS = "kills.jsonl", "seconds.json"
GROUPS = """
import json, ray
ray.init(log_to_driver=False, logging_level="ERROR")
states = [group["state"] for group in ray.util.placement_group_table().values()]
print(json.dumps([state for state in states if state != "REMOVED"]))
"""
Row = dict[str, object]


class Run:
    """The command of the stage, in a folder of its own."""

    def __init__(self, out: Path, name: str, cluster: Cluster) -> None:
        self.out, self.folder, self.cluster = out, out / name, cluster
        self.run = self.folder / "runs" / "judge"
        self.log = self.folder / "command.log"

    def start(self) -> subprocess.Popen[bytes]:
        self.folder.mkdir(exist_ok=True)
        places = [f"runs={self.folder / 'runs'}", "--out", str(self.folder / "ckpt" / "judge")]
        responses = f"judge.data.responses=[{self.out / 'candidates.jsonl'}]"
        words = [sys.executable, "-m", "judgerlvr.stage1_judge", *SETTINGS, responses, *places]
        with self.log.open("w") as log:
            return subprocess.Popen(words, stdout=log, stderr=log, cwd=ROOT, env=self.cluster.environment)

    @property
    def over(self) -> bool:
        """Whether the policy is published."""
        path = self.run / MANIFEST
        return path.is_file() and bool(json.loads(path.read_text(encoding="utf-8"))["export"])

    def finish(self) -> float:
        """Let the command end. Returns its seconds.

        Raises:
            SystemExit: the command failed without a kill.
        """
        started, process = time.monotonic(), self.start()
        try:
            code = process.wait(LIMIT)
        finally:
            kill(process.pid)
        if code:
            raise SystemExit(f"{self.folder.name} failed without a kill: {self.last()}")
        return round(time.monotonic() - started, 1)

    def last(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines()[-2:]


def planned(count: int, seed: int, among: Sequence[str] = KINDS) -> list[tuple[str, float]]:
    """(kind, share of the command's seconds) of each kill. Each kind comes equally often."""
    draw = random.Random(seed)
    kinds = [among[number % len(among)] for number in range(count)]
    draw.shuffle(kinds)
    return [(kind, round(draw.random(), 3)) for kind in kinds]


def workers(cluster: Cluster, pattern: str = ANY_WORKER) -> dict[int, str]:
    """Command lines of the workers on both nodes that a pattern meets, idle ones and Ray's agents left out."""
    below = {process for node in cluster.nodes if node for process in descendants(node.pid)}
    titles = {process: command_line(process) for process in below}
    return {
        process: title
        for process, title in titles.items()
        if re.search(pattern, title) and not title.startswith(RESTING)
    }


def command_line(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return ""


def strike(kind: str, cluster: Cluster, process: subprocess.Popen[bytes], draw: random.Random) -> str:
    """Kill one of a kind with SIGKILL, and say which. Empty where the command ends before it has one."""
    if kind == "driver":
        kill(process.pid)
        return f"driver {process.pid}"
    if kind == "node":
        second = cluster.nodes[1]
        number = len(descendants(second.pid)) + 1 if second else 0
        cluster.kill(1)
        return f"second node, {number} processes"
    while process.poll() is None:
        found = workers(cluster, WORKERS["trainer" if kind == SENDING else kind])
        if met := [one for one in sorted(found) if kind != SENDING or sends(one)]:
            victim = draw.choice(met)
            kill(victim)
            return f"{found[victim].partition(' ')[0]} {victim}"
        time.sleep(0.02 if kind == SENDING else 0.1)
    return ""


def sends(process: int) -> bool:
    """Whether a process has the memory in which weights pass to an engine."""
    try:
        maps = Path(f"/proc/{process}/maps").read_text(errors="replace")
    except OSError:
        return False
    return any(name in maps for name in PASSING)


def left_over(run: Run, shared: set[str]) -> list[str]:
    """What a command has left on the cluster and on the machine, placement groups aside."""
    return [
        *(f"process {name}" for name in workers(run.cluster).values()),
        *(["lock"] if is_locked(run.run) else []),
        *(f"shared memory {name}" for name in sorted(unmapped(shared_memory() - shared))),
    ]


def wait_until(condition: Callable[[], bool], seconds: float) -> float:
    """Wait at most ``seconds``. Returns the time waited."""
    started = time.monotonic()
    while not condition() and time.monotonic() - started < seconds:
        time.sleep(0.2)
    return round(time.monotonic() - started, 1)


def wait_for_nodes(cluster: Cluster) -> None:
    """Wait until both nodes have an agent, which is when a raylet takes work."""
    ready = 'import ray; ray.init(logging_level="ERROR"); print(sum(node["Alive"] for node in ray.nodes()))'
    words = [sys.executable, "-c", ready]

    def both() -> bool:
        done = subprocess.run(words, env=cluster.environment, capture_output=True, text=True, check=False)
        return done.stdout.strip().endswith("2")

    wait_until(both, 180)


def groups(cluster: Cluster) -> list[str]:
    """States of the cluster's placement groups that are not removed."""
    words = [sys.executable, "-c", GROUPS]
    done = subprocess.run(words, env=cluster.environment, capture_output=True, text=True, timeout=120, check=True)
    return [str(state) for state in json.loads(done.stdout.splitlines()[-1])]


def one_kill(run: Run, kind: str, delay: float, draw: random.Random) -> Row:
    """Start the command, kill, and record the end. The row has no victim where the policy was there first.

    Sockets may stay until the next command.
    """
    shared, process, started = shared_memory(), run.start(), time.monotonic()
    try:
        wait_until(lambda: process.poll() is not None, delay)
        seen, doing = len(complete(run.run / "checkpoints")), run.last()[-1:]
        over = process.poll() is not None or run.over
        victim = "" if over else strike(kind, run.cluster, process, draw)
        struck = time.monotonic()
        code: int | None = process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        kill(process.pid)
    ended = time.monotonic()
    free = wait_until(lambda: not left_over(run, shared), PATIENCE)
    row: Row = {"run": run.folder.name, "killed": victim, "kind": kind, "seconds in": round(struck - started, 1)}
    row |= {
        "sealed": seen,
        "doing": doing,
        "exit": code,
        "ended after": round(ended - struck, 1),
        "nothing left after": free,
    }
    row["sockets"] = len(list(FOLDER.glob(f"{VERLS}-*")))
    return row | {"left": [*left_over(run, shared), *groups(run.cluster)], "last": run.last()}


class Trial:
    """The kills of a plan, in runs that follow each other."""

    def __init__(self, out: Path, cluster: Cluster, until: float) -> None:
        self.out, self.cluster, self.until = out, cluster, until
        self.rows: list[Row] = list(read_jsonl(out / KILLS)) if (out / KILLS).is_file() else []

    def run(self, number: int) -> Run:
        return Run(self.out, f"run{number}", self.cluster)

    def go(self, kills: list[tuple[str, float]], seconds: float) -> None:
        """Make the kills that are missing, then let the last run end."""
        number = 0
        while self.run(number).over:
            number += 1
        for at, (kind, share) in enumerate(kills):
            if at < len(self.rows):
                continue
            while time.monotonic() < self.until:
                self.cluster.start()
                wait_for_nodes(self.cluster)
                row = one_kill(self.run(number), kind, share * seconds, random.Random(f"{at} {share}"))
                print(json.dumps(row), flush=True)
                number += self.run(number).over
                if row["killed"]:
                    self.rows.append(row)
                    write_jsonl(self.out / KILLS, self.rows)
                    break
                share *= SOONER
        if time.monotonic() < self.until and self.run(number).folder.exists():
            self.cluster.start()
            wait_for_nodes(self.cluster)
            self.run(number).finish()

    def verdicts(self) -> dict[str, bool]:
        """Of each run that is over, whether its weights are the bits of the undisturbed run."""
        wanted = weights(self.out / "whole", "judge")
        runs = [self.run(number) for number in range(len(self.rows) + 1)]
        return {run.folder.name: weights(run.folder, "judge") == wanted for run in runs if run.over}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages.cluster_kills", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kills", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=12.0, help="no further kill after these, in this call")
    parser.add_argument("--kind", choices=[*KINDS, SENDING], help="kills of this kind alone")
    options = parser.parse_args(arguments)
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "candidates.jsonl").exists():
        write_candidates(out / "candidates.jsonl")
    cluster = Cluster(out, NODE, ("127.0.0.1", "127.0.0.2"))
    trial = Trial(out, cluster, time.monotonic() + 60 * options.minutes)
    try:
        if not (out / SECONDS).exists():
            cluster.start()
            wait_for_nodes(cluster)
            (out / SECONDS).write_text(json.dumps(Run(out, "whole", cluster).finish()))
        kinds = [options.kind] if options.kind else KINDS
        trial.go(planned(options.kills, options.seed, kinds), json.loads((out / SECONDS).read_text()))
    finally:
        cluster.stop()
    found = trial.verdicts()
    left = [row["left"] for row in trial.rows if row["left"]]
    print(json.dumps({"kills": len(trial.rows), "same bits": found, "left": left}), flush=True)
    return 0 if len(trial.rows) == options.kills and found and all(found.values()) and not left else 1


if __name__ == "__main__":
    sys.exit(main())
