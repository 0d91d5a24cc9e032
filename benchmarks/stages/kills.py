"""Kills of a small two-stage run: the same command again must end with the same weights, and nothing may be left.

    python -m benchmarks.stages.kills OUT [--kills 20] [--seed 0] [--minutes 120]

Both stages train the tiny base with dynamic sampling on a CPU. A run without kills gives the weights to be met.
Each kill waits for a phase (sampling, update, save, publish) and then for a random time. The seed gives the kinds,
the phases and the times. ``OUT/kills.jsonl`` records what was done, what was seen, and what was left after 10 s.
A full disk needs a mount, and want of memory needs control groups of version 1. A machine without these lacks the kind.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from judgerlvr.cli import MODULES
from judgerlvr.cluster import remains
from judgerlvr.cluster.session import PREFIX
from judgerlvr.config.load import ROOT
from judgerlvr.export.finite import first_not_finite
from judgerlvr.runs.checkpoints import complete
from judgerlvr.runs.manifest import MANIFEST
from judgerlvr.runs.metrics import METRICS, read_metrics
from tests.helpers.stage_runs import SMALL, write_candidates

STEPS = 3
SETTINGS = [
    *SMALL,
    *(f"{stage}.{key}" for stage in ("judge", "generate") for key in (f"stop.steps={STEPS}", "checkpoint.every=1")),
    "judge.checkpoint.keep=0",
    "generate.checkpoint.keep=0",
    "judge.algorithm.dynamic_sampling=true",
    "generate.algorithm.dynamic_sampling=true",
    "generate.validation.every=0",
    "generate.max_response_tokens=64",
]
STAGES = ("judge", "generate")
# Longest random wait after a phase was seen, in seconds.
SPREAD = {"start": 20.0, "sampling": 2.0, "update": 2.0, "save": 0.2, "publish": 0.3}
# Pattern of the command line of the process that each kind kills. Ray names its workers by their classes.
VICTIMS = {
    "runner": "^ray::StageRunner",
    "trainer": "^ray::WorkerDict",
    "engine": "^ray::vLLM",
    "worker": "^ray::(AgentLoop|RewardLoop|SimpleStorage|TransferQueue)",
    "raylet": "/raylet/raylet ",
}
PATIENCE = 10.0
POLL = 0.02
LIMIT = 1800.0


@dataclass
class Kill:
    """One kill: what was planned, and what was seen."""

    number: int
    kind: str
    stage: str
    wanted: str
    wanted_step: int
    delay: float
    phase: str = ""
    step: int = 0
    victim: int | None = None
    code: int | None = None
    last: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    seconds_to_nothing: float = 0.0
    not_finite: list[str] = field(default_factory=list)


def arguments(folder: Path, stage: str) -> list[str]:
    """The command of a stage, the same each time."""
    module = MODULES[stage]
    more = [f"judge.data.responses=[{folder / 'candidates.jsonl'}]"]
    first = [] if stage == "judge" else ["--init", str(folder / "ckpt" / "judge")]
    places = [f"runs={folder / 'runs'}", "--out", str(folder / "ckpt" / stage)]
    return [sys.executable, "-m", f"judgerlvr.{module}", *SETTINGS, *more, *first, *places]


def phase_of(run: Path, since: float) -> tuple[str, int]:
    """(phase, step) that a run is in, by the files that it has written after ``since``."""

    def fresh(path: Path) -> bool:
        with suppress(FileNotFoundError):
            return path.stat().st_mtime >= since
        return False

    if not (run / MANIFEST).is_file():
        return "start", 0
    manifest = json.loads((run / MANIFEST).read_text(encoding="utf-8"))
    trained = max((row.step for row in read_metrics(run / METRICS) if row.is_training), default=0)
    if manifest["trained"]:
        return ("over" if manifest["export"] else "publish"), trained + 1
    half = set((run / "checkpoints").glob("global_step_*")) - set(complete(run / "checkpoints"))
    if any(map(fresh, half)):
        return "save", trained + 1
    if fresh(run / "rollouts" / f"step_{trained + 1:06d}.jsonl"):
        return "update", trained + 1
    begun = any(map(fresh, (run / "workers").glob("*")))
    return ("sampling" if begun else "start"), trained + 1


class Running:
    """A command of a stage, its output, and its Ray sessions in a folder of their own."""

    def __init__(self, folder: Path, stage: str, sessions: Path, group: Path | None = None) -> None:
        self.run, self.sessions, self.log = folder / "runs" / stage, sessions, folder / f"{stage}.log"
        self.since = time.time()
        sessions.mkdir(exist_ok=True)
        environment = os.environ | {remains.VARIABLE: str(sessions)}
        join: Callable[[], object] | None = (
            (lambda: (group / "cgroup.procs").write_text(str(os.getpid()))) if group else None
        )
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                arguments(folder, stage), stdout=log, stderr=log, cwd=ROOT, env=environment, preexec_fn=join
            )

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def processes(self) -> dict[int, str]:
        """Living processes of the command's sessions with their command lines."""
        found = {}
        for folder in self.sessions.glob(f"{PREFIX}*"):
            for pid in remains.processes(folder):
                with suppress(OSError):
                    found[pid] = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
        return found

    def left(self) -> list[str]:
        """What a command that ended has left: processes, and the folders of sessions."""
        return [*self.processes().values(), *(str(path) for path in self.sessions.glob(f"{PREFIX}*"))]

    def wait_for(self, phase: str, step: int) -> None:
        """Wait until a run is in the phase of the step, or past the step, or over."""
        until = time.monotonic() + LIMIT
        while not self.ended and time.monotonic() < until:
            found, at = phase_of(self.run, self.since)
            if found in ("publish", "over") or at > step or (found == phase and at == step):
                return
            time.sleep(POLL)

    def last_lines(self, count: int = 3) -> list[str]:
        return self.log.read_text(errors="replace").splitlines()[-count:]


def victim_of(kind: str, running: Running, draw: random.Random) -> int | None:
    """The process to be killed, None where the run has none of the kind."""
    if kind in ("driver", "sigterm"):
        return running.process.pid
    found = sorted(pid for pid, name in running.processes().items() if re.search(VICTIMS[kind], name))
    return draw.choice(found) if found else None


def strike(kill: Kill, running: Running, draw: random.Random, group: Path | None, disk: Path | None) -> None:
    """Do what the kind says, and wait until the command has ended."""
    if kill.kind == "memory" and group:
        tighten(group)
    elif kill.kind == "disk" and disk:
        with suppress(OSError):
            (disk / "ballast").write_bytes(b"\0" * 2**16)
            with (disk / "ballast").open("ab") as file:
                while True:
                    file.write(b"\0" * 2**22)
    else:
        kill.victim = victim_of(kill.kind, running, draw)
        if kill.victim:
            os.kill(kill.victim, signal.SIGTERM if kill.kind == "sigterm" else signal.SIGKILL)


def tighten(group: Path) -> None:
    """Set the limit just above what the group's processes hold, so that the next pages are too many."""
    stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    files = int(stat["total_inactive_file"]) + int(stat["total_active_file"])
    limit = int((group / "memory.usage_in_bytes").read_text()) - files
    for _ in range(100):
        limit += 2**22
        with suppress(OSError):
            (group / "memory.limit_in_bytes").write_text(str(limit))
            return


def after(kill: Kill, running: Running) -> None:
    """Record what is left after at most 10 s, the last lines, and checkpoints that are not finite."""
    ended = time.monotonic()
    while (left := running.left()) and time.monotonic() - ended < PATIENCE:
        time.sleep(POLL)
    kill.left, kill.seconds_to_nothing = left, round(time.monotonic() - ended, 2)
    kill.last = running.last_lines()
    sealed = complete(running.run / "checkpoints")
    kill.not_finite = [path.name for path in sealed if first_not_finite(path / "actor")]


def one_kill(kill: Kill, running: Running, draw: random.Random, group: Path | None, disk: Path | None) -> Kill:
    """Wait for the phase and the random time, kill, and record. A run that is over is not killed."""
    running.wait_for(kill.wanted, kill.wanted_step)
    time.sleep(kill.delay)
    kill.phase, kill.step = phase_of(running.run, running.since)
    if not running.ended:
        strike(kill, running, draw, group, disk)
    # Without a code the stage hung after its kill.
    with suppress(subprocess.TimeoutExpired):
        kill.code = running.process.wait(LIMIT)
    after(kill, running)
    running.process.kill()
    running.process.wait()
    return kill


@contextmanager
def memory_group(name: str) -> Iterator[Path | None]:
    """A control group whose limit can be set, None where this machine offers none."""
    root = Path("/sys/fs/cgroup/memory")
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    inside = next((line.split(":")[2] for line in lines if ":memory:" in line), "/")
    group = root / inside.lstrip("/") / name
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text("-1")
    except OSError:
        yield None
        return
    try:
        yield group
    finally:
        with suppress(OSError):
            group.rmdir()


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Path | None]:
    """A small file system at ``folder``, None where this machine mounts none."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def weights(folder: Path, stage: str) -> str:
    """SHA-256 over the published policy's weights."""
    digest = hashlib.sha256()
    for path in sorted((folder / "ckpt" / stage).glob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def short_folder() -> Path:
    """A folder for Ray's sockets, whose paths may have about 100 characters."""
    return Path(tempfile.gettempdir()) / f"k{os.getpid()}"


def whole(folder: Path) -> dict[str, str]:
    """Both stages without a kill, and the hashes of their policies."""
    folder.mkdir(parents=True, exist_ok=True)
    write_candidates(folder / "candidates.jsonl")
    for stage in STAGES:
        running = Running(folder, stage, short_folder())
        if running.process.wait():
            raise SystemExit(f"the run without kills failed: {running.last_lines()}")
    return {stage: weights(folder, stage) for stage in STAGES}


def plan(count: int, seed: int, kinds: list[str]) -> list[Kill]:
    """Kinds in turn and phases in turn, at random steps and times, in the order in which a run meets them."""
    draw, phases = random.Random(seed), list(SPREAD)
    order = [kinds[number % len(kinds)] for number in range(count)]
    draw.shuffle(order)
    kills = []
    for number, kind in enumerate(order):
        phase, stage = phases[number % len(phases)], STAGES[number * len(STAGES) // count]
        step = {"start": 1, "publish": STEPS + 1}.get(phase, draw.randint(1, STEPS))
        kills.append(Kill(number, kind, stage, phase, step, round(draw.uniform(0, SPREAD[phase]), 3)))
    return sorted(kills, key=lambda kill: (STAGES.index(kill.stage), kill.wanted_step, phases.index(kill.wanted)))


def trial(folder: Path, kills: list[Kill], seed: int, until: float, record: Callable[[Kill], None]) -> dict[str, str]:
    """Both stages with the kills, each restarted by the same command. Returns the hashes of the policies."""
    folder.mkdir(parents=True, exist_ok=True)
    draw, sessions = random.Random(seed + 1), short_folder()
    with small_disk(folder / "runs", 2000) as disk, memory_group(f"kills-{os.getpid()}") as group:
        write_candidates(folder / "candidates.jsonl")
        offered = {"disk": disk, "memory": group}
        for stage in STAGES:
            for kill in (kill for kill in kills if kill.stage == stage and offered.get(kill.kind, True)):
                if time.monotonic() > until:
                    break
                running = Running(folder, stage, sessions, group)
                record(one_kill(kill, running, draw, group, disk))
                if disk:
                    (disk / "ballast").unlink(missing_ok=True)
                if group:
                    (group / "memory.limit_in_bytes").write_text("-1")
            running = Running(folder, stage, sessions, group)
            if running.process.wait():
                raise SystemExit(f"the run after the kills failed: {running.last_lines()}")
        return {stage: weights(folder, stage) for stage in STAGES}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=120.0, help="no further kill after these")
    options = parser.parse_args()
    out = options.out.absolute()
    until = time.monotonic() + options.minutes * 60
    expected = whole(out / "whole")
    done: list[Kill] = []

    def record(kill: Kill) -> None:
        done.append(kill)
        with (out / "kills.jsonl").open("a") as file:
            file.write(json.dumps(asdict(kill)) + "\n")
        print(f"{kill.number} {kill.kind} in {kill.stage} {kill.phase}: exit {kill.code}, left {kill.left}", flush=True)

    kinds = ["driver", "runner", "trainer", "engine", "worker", "raylet", "sigterm", "disk", "memory"]
    found = trial(out / "killed", plan(options.kills, options.seed, kinds), options.seed, until, record)
    for stage in STAGES:
        print(f"{stage}: {'the same bits' if found[stage] == expected[stage] else 'OTHER WEIGHTS'}")
    print(f"{len(done)} kills, {sum(bool(kill.left) for kill in done)} left something after {PATIENCE:.0f} s")


if __name__ == "__main__":
    main()
