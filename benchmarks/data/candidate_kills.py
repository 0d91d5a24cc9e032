"""Kills while candidates are sampled on a cluster of two CPU nodes: each sample once after the resume.

An engine, the driver, a raylet or a whole node is killed at a random moment. A dead driver is started again.
Before that the last line on disk is cut short, as a death in the middle of a write would leave the line.
At the end the samples are compared to the samples of one undisturbed engine.

    python -m benchmarks.data.candidate_kills FOLDER --kills 10 --seed 0 [--most 3]

The same command in the same folder goes on with the kills that are missing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from data.jsonl import read_jsonl, write_jsonl
from judgerlvr.config.load import ROOT
from judgerlvr.sampling.store import key_of
from judgerlvr.tinyworld.making.checkpoint import base_path
from judgerlvr.tinyworld.problems import generate_problems

KINDS = ("engine", "driver", "raylet", "node")
PATIENCE = 600.0
# The kills so far, in the folder.
KILLS = "kills.jsonl"
# Seconds in which a driver without a cluster must end.
GONE = 30.0


class Cluster:
    """A head node and a second node on this machine, each in a session of its own.

    ``size`` holds options of ``ray start`` for both. ``hosts`` are their addresses, where Ray
    is not to choose.
    """

    def __init__(self, folder: Path, size: Sequence[str] = ("--num-cpus=2",), hosts: Sequence[str] = ()) -> None:
        self.folder, self.size, self.hosts = folder, size, hosts
        self.port = free_port()
        self.nodes: list[subprocess.Popen[bytes] | None] = [None, None]
        self.environment = os.environ | {"RAY_TMPDIR": str(folder / "ray"), "PYTHONPATH": str(ROOT)}
        self.environment |= {"RAY_gcs_rpc_server_reconnect_timeout_s": "10", "RAY_ADDRESS": f"127.0.0.1:{self.port}"}
        self.environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        self.environment |= {"RAY_memory_monitor_refresh_ms": "0", "RAY_USAGE_STATS_ENABLED": "0"}

    def start(self) -> None:
        """Start the nodes that do not run. A second node without a head is started again too."""
        if not self._runs(0):
            self.stop()
            client = f"--ray-client-server-port={free_port()}"
            self.nodes[0] = self._node(0, "--head", f"--port={self.port}", "--include-dashboard=false", client)
            self._wait()
        if not self._runs(1):
            self.kill(1)
            self.nodes[1] = self._node(1, f"--address=127.0.0.1:{self.port}")

    def _node(self, number: int, *options: str) -> subprocess.Popen[bytes]:
        host = [f"--node-ip-address={self.hosts[number]}"] if self.hosts else []
        ray = Path(sys.executable).with_name("ray")
        ports = [f"--dashboard-agent-listen-port={free_port()}", "--min-worker-port=0", "--max-worker-port=0"]
        environment = {name: value for name, value in self.environment.items() if name != "RAY_ADDRESS"}
        with (self.folder / "nodes.log").open("ab") as log:
            return subprocess.Popen(
                [ray, "start", "--block", "--disable-usage-stats", *self.size, *host, *options, *ports],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _wait(self) -> None:
        until = time.monotonic() + PATIENCE
        while not (self._runs(0) and listens(self.port)):
            if time.monotonic() > until:
                raise TimeoutError((self.folder / "nodes.log").read_text()[-2000:])
            time.sleep(1)

    def _runs(self, number: int) -> bool:
        node = self.nodes[number]
        return node is not None and node.poll() is None and bool(named("raylet", node.pid))

    def kill(self, number: int) -> None:
        """Kill every process of a node."""
        node = self.nodes[number]
        if node is not None:
            for process in [*descendants(node.pid), node.pid]:
                kill(process)
            node.wait()

    def stop(self) -> None:
        for number in range(len(self.nodes)):
            self.kill(number)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def descendants(root: int) -> list[int]:
    """Processes below a process, children before parents."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(path.parent.name))
    found, waiting = [], [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found[::-1]


def named(text: str, root: int) -> list[int]:
    """Processes below a process whose command line begins with a program of this name."""
    found = []
    for process in descendants(root):
        try:
            program = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")[0].decode()
        except OSError:
            continue
        if program.rpartition("/")[2].startswith(text):
            found.append(process)
    return found


def kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def command(problems: Path, out: Path, engines: int, samples: int) -> list[str]:
    model = ["--model", str(base_path("qwen3_moe")), f"n={samples}", "max_tokens=96"]
    where = ["--data", str(problems), "--out", str(out), "--engines", str(engines)]
    return [sys.executable, "-m", "judgerlvr.sample_candidates", *model, *where, "cluster.device=cpu"]


def run_whole(folder: Path, problems: Path, samples: int) -> None:
    """One engine on a private cluster, and nothing dies."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    environment.pop("RAY_ADDRESS", None)
    with (folder / "whole.log").open("w") as log:
        words = command(problems, folder / "whole", 1, samples)
        subprocess.run(words, env=environment, check=True, stdout=log, stderr=log, cwd=ROOT)


def shot(kind: str, cluster: Cluster, driver: subprocess.Popen[bytes], draw: random.Random) -> str:
    """Kill one thing of a kind, and say which. Empty where none is there."""
    if kind == "driver":
        kill(driver.pid)
        return f"driver {driver.pid}"
    number = draw.randrange(2)
    node = cluster.nodes[number]
    assert node is not None
    if kind == "node":
        cluster.kill(number)
        return f"node {number}"
    if kind == "raylet":
        for process in named("raylet", node.pid):
            kill(process)
        return f"raylet of node {number}"
    engines = [process for other in cluster.nodes if other for process in named("ray::Engine", other.pid)]
    for process in engines[:1] if draw.random() < 0.5 else engines[-1:]:
        kill(process)
    return f"engine, one of {len(engines)}" if engines else ""


def kinds_of(kills: int, seed: int) -> list[str]:
    """What is killed, the last first. Of four kills or more each kind is killed."""
    kinds = [KINDS[number % len(KINDS)] for number in range(kills)]
    random.Random(seed).shuffle(kinds)
    return kinds


def run_with_kills(
    folder: Path, problems: Path, samples: int, kinds: list[str], rows: list[dict[str, object]], most: int
) -> None:
    """Sample with kills, and note each kill in ``rows`` and on disk. Ends after ``most`` kills or with all samples."""
    draw = random.Random(f"{kinds} {len(rows)}")
    cluster, out, starts, left = Cluster(folder), folder / "killed", 0, len(kinds) - most
    driver: subprocess.Popen[bytes] | None = None
    try:
        while not kinds or len(kinds) > left:
            cluster.start()
            if driver is None or driver.poll() is not None:
                if driver is not None and driver.returncode == 0:
                    break
                if starts > 3 * most + 3:
                    raise RuntimeError((folder / "killed.log").read_text()[-2000:])
                driver, starts = start_driver(folder, cluster, problems, out, samples), starts + 1
            if not kinds:
                driver.wait(PATIENCE)
                continue
            wait_for_samples(out, driver, draw.uniform(0, 4), at_once=draw.random() < 0.25 and kinds[-1] != "engine")
            if driver.poll() is None:
                before = count(out)
                if not (what := shot(kinds[-1], cluster, driver, draw)):
                    continue
                kinds.pop()
                settle(cluster, driver)
                torn = tear(out, draw) if driver.poll() is not None else 0
                rows.append({"killed": what, "samples before": before, "bytes of the last line cut": torn})
                print(json.dumps(rows[-1]), flush=True)
                write_jsonl(folder / KILLS, rows)
    finally:
        if driver is not None:
            kill(driver.pid)
        cluster.stop()


def start_driver(folder: Path, cluster: Cluster, problems: Path, out: Path, samples: int) -> subprocess.Popen[bytes]:
    with (folder / "killed.log").open("ab") as log:
        words = command(problems, out, 2, samples)
        return subprocess.Popen(words, env=cluster.environment, stdout=log, stderr=log, cwd=ROOT)


def wait_for_samples(out: Path, driver: subprocess.Popen[bytes], seconds: float, at_once: bool) -> None:
    """Wait until the driver has written samples, and some seconds more. ``at_once`` waits for no sample."""
    before, until = count(out), time.monotonic() + PATIENCE
    while not at_once and count(out) == before and driver.poll() is None and time.monotonic() < until:
        time.sleep(0.2)
    time.sleep(seconds)


def settle(cluster: Cluster, driver: subprocess.Popen[bytes]) -> None:
    """A driver without a head node ends. A driver that hangs is killed."""
    time.sleep(1)
    head = cluster.nodes[0]
    if head is None or not named("raylet", head.pid):
        try:
            driver.wait(GONE)
        except subprocess.TimeoutExpired:
            kill(driver.pid)
            driver.wait()


def tear(out: Path, draw: random.Random) -> int:
    """Cut the last line of the last shard somewhere. Returns the number of bytes that are gone."""
    shards = [shard for shard in sorted((out / "shards").glob("*.jsonl")) if shard.stat().st_size]
    if not shards:
        return 0
    content = shards[-1].read_bytes()
    start = content.rstrip(b"\n").rfind(b"\n") + 1
    end = draw.randrange(start + 1, len(content))
    os.truncate(shards[-1], end)
    return len(content) - end


def count(out: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in (out / "shards").glob("*.jsonl"))


def compare(folder: Path, expected: int) -> dict[str, object]:
    """Counts of keys, and of samples that differ from the samples of the undisturbed engine."""
    found = {}
    for name in ("whole", "killed"):
        lines = [line for shard in sorted((folder / name / "shards").glob("*")) for line in shard.open()]
        found[name] = [json.loads(line) for line in lines]
    times = Counter(key_of(record) for record in found["killed"])
    whole = {key_of(record): record["response"] for record in found["whole"]}
    other = sum(whole[key_of(record)] != record["response"] for record in found["killed"])
    same = (folder / "whole" / "candidates.jsonl").read_bytes() == (folder / "killed" / "candidates.jsonl").read_bytes()
    return {
        "samples expected": expected,
        "keys": len(times),
        "keys twice": sum(number > 1 for number in times.values()),
        "responses that differ": other,
        "candidates.jsonl equal to the byte": same,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data.candidate_kills", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--problems", type=int, default=250)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--most", type=int, help="kills of this call at most (default: all)")
    options = parser.parse_args(arguments)
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    problems = folder / f"problems-{options.problems}.jsonl"
    rows = generate_problems(options.problems, 0, "train")
    write_jsonl(problems, ({"problem": row["problem"], "gold": row["gold"], "id": row["id"]} for row in rows))
    started = time.monotonic()
    if not (folder / "whole" / "summary.json").is_file():
        run_whole(folder, problems, options.samples)
    print(json.dumps({"seconds undisturbed": round(time.monotonic() - started, 1)}), flush=True)
    started = time.monotonic()
    rows = list(read_jsonl(folder / KILLS)) if (folder / KILLS).is_file() else []
    kinds = kinds_of(options.kills, options.seed)[: options.kills - len(rows)]
    run_with_kills(folder, problems, options.samples, kinds, rows, min(len(kinds), options.most or len(kinds)))
    if not (folder / "killed" / "summary.json").is_file():
        print(f"{len(rows)} of {options.kills} kills are made: the same command goes on", flush=True)
        return 0
    result = compare(folder, options.problems * options.samples)
    print(json.dumps({"seconds with kills": round(time.monotonic() - started, 1), **result}), flush=True)
    if len(rows) < options.kills:
        print(f"all samples were there after {len(rows)} kills: give more --problems", flush=True)
    good = len(rows) == options.kills and result["keys"] == result["samples expected"] and not result["keys twice"]
    return 0 if good and not result["responses that differ"] else 1


if __name__ == "__main__":
    sys.exit(main())
