"""A stage's command, the phase that it is in, and a kill with everything that can be seen of it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.stages.killing.faults import NOBODY
from benchmarks.stages.killing.limits import fill, lift, starve
from benchmarks.stages.killing.plan import ANY, OF_A_STEP, STAGES, STEPS, VICTIMS, Kill
from judgerlvr.cli import MODULES
from judgerlvr.cluster import remains
from judgerlvr.config.load import ROOT
from judgerlvr.export.finite import first_not_finite
from judgerlvr.runs.checkpoints import complete
from judgerlvr.runs.manifest import MANIFEST
from judgerlvr.runs.metrics import EXTRA_ROUNDS, METRICS, PASSING, PHASE, PROGRESS, read_metrics
from tests.helpers.leftovers import left_by, processes, shared_memory
from tests.helpers.stage_runs import SMALL, write_candidates

EACH = (
    f"stop.steps={STEPS}",
    "checkpoint.every=1",
    "checkpoint.keep=0",
    "algorithm.dynamic_sampling=true",
    "algorithm.max_extra_rounds=2",
)
SETTINGS = [
    *SMALL,
    *(f"{stage}.{key}" for stage in STAGES for key in EACH),
    "generate.validation.every=0",
    "generate.max_response_tokens=64",
]
PATIENCE = 10.0
POLL = 0.05
# Longest time of a command, and of its end after a kill, in seconds.
LIMIT = 420.0
# Longest wait for the process that is to be killed, in seconds. Engines start while a command is in its start.
FOUND = 60.0
# Most times that memory is taken before a kill for want of memory is given up.
STARVED = 6


def arguments(folder: Path, stage: str) -> list[str]:
    """The command of a stage, the same each time."""
    responses = f"judge.data.responses=[{folder / 'candidates.jsonl'}]"
    first = [] if stage == "judge" else ["--init", str(folder / "ckpt" / "judge")]
    places = [f"runs={folder / 'runs'}", "--out", str(folder / "ckpt" / stage)]
    return [sys.executable, "-m", f"judgerlvr.{MODULES[stage]}", *SETTINGS, responses, *first, *places]


def phase_of(run: Path, since: float, noted: int = 0) -> tuple[str, int]:
    """(phase, step) that a run is in, by the files that it has written after ``since``.

    ``noted`` is how many bytes of progress there were before. Commands add to the same file.
    """

    def fresh(path: Path) -> bool:
        with suppress(FileNotFoundError):
            return path.stat().st_mtime >= since
        return False

    if not (run / MANIFEST).is_file():
        return "start", 0
    manifest = json.loads((run / MANIFEST).read_text(encoding="utf-8"))
    trained = max((row.step for row in read_metrics(run / METRICS) if row.is_training), default=0)
    if manifest["export"]:
        return "over", trained + 1
    if manifest["trained"]:
        # Each publishing writes the manifest first. Before that a command loads its libraries.
        return ("publish" if fresh(run / MANIFEST) else "start"), trained + 1
    half = set((run / "checkpoints").glob("global_step_*")) - set(complete(run / "checkpoints"))
    if any(map(fresh, half)):
        return "save", trained + 1
    if fresh(run / "rollouts" / f"step_{trained + 1:06d}.jsonl"):
        return "update", trained + 1
    return ("sampling" if _steps_begun(run / PROGRESS, noted) else "start"), trained + 1


def _steps_begun(progress: Path, noted: int) -> bool:
    """Whether the last phase behind the first ``noted`` bytes is one of a step. Before that the engines start."""
    lines = progress.read_bytes()[noted:].splitlines() if progress.exists() else []
    phases = [line for line in lines if line.startswith((PHASE.encode(), PASSING.encode()))]
    return bool(phases) and phases[-1].startswith(PASSING.encode())


def _is(wanted: str, found: str) -> bool:
    return found in OF_A_STEP if wanted == ANY else found == wanted


class Running:
    """A command of a stage, its output, and its Ray sessions and temporary files in a folder of their own."""

    def __init__(self, folder: Path, stage: str, sessions: Path, group: Path | None = None) -> None:
        self.run, self.sessions, self.log = folder / "runs" / stage, sessions, folder / f"{stage}.log"
        self.since, self.shared = time.time(), shared_memory()
        progress = self.run / PROGRESS
        self.noted = progress.stat().st_size if progress.exists() else 0
        self.first = self.phase()[1] or 1
        sessions.mkdir(exist_ok=True)
        if not (folder / "candidates.jsonl").exists():
            write_candidates(folder / "candidates.jsonl")
        places = {remains.VARIABLE: str(sessions), "TMPDIR": str(sessions)}
        # Compiled code is kept for later runs, and is nothing that is left behind.
        places["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "compiled")
        join: Callable[[], object] | None = (
            (lambda: (group / "cgroup.procs").write_text(str(os.getpid()))) if group else None
        )
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                arguments(folder, stage), stdout=log, stderr=log, cwd=ROOT, env=os.environ | places, preexec_fn=join
            )

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def left(self) -> list[str]:
        return left_by(self.sessions, self.run, self.shared)

    def phase(self) -> tuple[str, int]:
        return phase_of(self.run, self.since, self.noted)

    def timed(self, kill: Kill) -> str:
        """The undisturbed stage's time that the kill has a share of. A command's first step warms the engines up."""
        if kill.wanted not in (ANY, *OF_A_STEP):
            return kill.wanted
        name = "step" if kill.wanted == ANY else kill.wanted
        return f"{name} {1 if kill.wanted_step == self.first else kill.wanted_step}"

    def wait_for(self, phase: str, step: int) -> None:
        """Wait until the run is in the phase of the step, or past the step, or over."""
        until = time.monotonic() + LIMIT
        while not self.ended and time.monotonic() < until:
            found, at = self.phase()
            if found in ("publish", "over") or at > step or (_is(phase, found) and at in (0, step)) or phase == "start":
                return
            # Publishing takes less than a second.
            time.sleep(POLL / 10 if phase == "publish" else POLL)

    def linger(self, kill: Kill, seconds: float) -> float:
        """Wait, but not beyond the phase of the kill: later steps are faster. Returns the time waited."""
        begun = time.monotonic()
        while not self.ended and (passed := time.monotonic() - begun) < seconds:
            found, step = self.phase()
            if not _is(kill.wanted, found) or step not in (0, kill.wanted_step):
                break
            time.sleep(min(POLL / 10, seconds - passed))
        return round(time.monotonic() - begun, 3)

    def end(self) -> None:
        """End whatever still runs."""
        self.process.kill()
        self.process.wait()
        for session in self.sessions.glob("*"):
            remains.remove(session, patience=0) if session.is_dir() else session.unlink(missing_ok=True)

    def lines(self) -> list[str]:
        """What the command has printed so far."""
        return self.log.read_text(errors="replace").splitlines()


def victim_of(kind: str, running: Running, draw: random.Random) -> int | None:
    """The process to be killed.

    Raises:
        SystemExit: a run is in a step and has no process of the kind, so that the kind's pattern is wrong.
    """
    if kind in ("driver", "sigterm"):
        return running.process.pid
    until = time.monotonic() + FOUND
    while not running.ended:
        if time.monotonic() > until:
            running.end()
            raise SystemExit(f"{kind}: no process matches {VICTIMS[kind]!r} after {FOUND:.0f} s")
        found = sorted(pid for pid, name in processes(running.sessions).items() if re.search(VICTIMS[kind], name))
        if found:
            return draw.choice(found)
        time.sleep(POLL)
    return None


def strike(kill: Kill, running: Running, disk: Path | None, group: Path | None) -> float:
    """Do what the kind says, and record when. Returns the clock's time. A run that is over is not killed."""
    alone = kill.kind in ("memory", "disk")
    # Waited for first, since the phase is that of the stroke.
    pid = None if alone else victim_of(kill.kind, running, random.Random(f"{kill.number} {kill.share}"))
    kill.phase, kill.step = running.phase()
    kill.at, kill.seconds_in = time.strftime("%FT%TZ", time.gmtime()), round(time.time() - running.since, 1)
    struck = time.monotonic()
    if running.ended or kill.phase == "over":
        kill.victim = NOBODY
    elif kill.kind == "memory" and group:
        kill.victim = _starve_until_killed(running, group)
    elif kill.kind == "disk" and disk:
        kill.victim = f"disk of {fill(disk).stat().st_size / 2**30:.2f} GiB ballast"
    elif pid:
        name = processes(running.sessions).get(pid, "").partition(" ")[0]
        kill.victim = f"{name if name.startswith('ray::') else kill.kind} {pid}"
        os.kill(pid, signal.SIGTERM if kill.kind == "sigterm" else signal.SIGKILL)
    return struck


def _starve_until_killed(running: Running, group: Path) -> str:
    """Starve until the kernel has killed a process that the stage needs. The first ones may be idle workers."""
    for _ in range(STARVED):
        before = processes(running.sessions)
        starve(group)
        gone = [before[pid].partition(" ")[0] for pid in before.keys() - processes(running.sessions).keys()]
        if running.ended or any(re.search(pattern, name) for pattern in VICTIMS.values() for name in gone):
            return f"the kernel's choice {' '.join(sorted(gone))}"
    return "the kernel's choice, none of the stage's workers"


def after(kill: Kill, running: Running) -> None:
    """Record what is left after at most 10 s, the last lines, and checkpoints that are not finite."""
    ended = time.monotonic()
    while (left := running.left()) and time.monotonic() - ended < PATIENCE:
        time.sleep(POLL)
    kill.left, kill.seconds_to_nothing = left, round(time.monotonic() - ended, 2)
    lines = running.lines()
    kill.last, kill.tracebacks = lines[-3:], sum(line.startswith("Traceback") for line in lines)
    sealed = complete(running.run / "checkpoints")
    kill.not_finite = [path.name for path in sealed if first_not_finite(path / "actor")]


def one_kill(kill: Kill, running: Running, phases: dict[str, float], disk: Path | None, group: Path | None) -> None:
    """Wait for the phase and the share of its time, kill, and record."""
    begun = time.monotonic()
    if kill.wanted == ANY or kill.wanted in OF_A_STEP:
        # An earlier kill may have come after the step's seal.
        kill.wanted_step = max(kill.wanted_step, running.first)
    running.wait_for(kill.wanted, kill.wanted_step)
    kill.delay = running.linger(kill, kill.share * phases.get(running.timed(kill), 0.0))
    struck = strike(kill, running, disk, group)
    # Without a code the stage hung after its kill.
    with suppress(subprocess.TimeoutExpired):
        kill.code = running.process.wait(LIMIT)
    kill.seconds_to_end = round(time.monotonic() - struck, 1)
    after(kill, running)
    running.end()
    if disk:
        (disk / "ballast").unlink(missing_ok=True)
    if group:
        lift(group)
    kill.seconds = round(time.monotonic() - begun, 1)


def short_folder(out: Path) -> Path:
    """A folder for Ray's sockets, whose paths may have about 100 characters."""
    return Path("/tmp") / f"k{hashlib.sha256(str(out).encode()).hexdigest()[:6]}"


def ended(run: Path) -> bool:
    """Whether a run has published its policy."""
    return (run / MANIFEST).is_file() and phase_of(run, 0.0)[0] == "over"


def sealed(folder: Path, stage: str) -> int:
    """How many steps of a run have a checkpoint."""
    return len(complete(folder / "runs" / stage / "checkpoints"))


def again(folder: Path, stage: str) -> None:
    """Forget an ended run and its policy, so that the same command begins anew."""
    shutil.rmtree(folder / "runs" / stage)
    (folder / "ckpt" / stage).unlink()


def finish(folder: Path, stage: str, sessions: Path) -> dict[str, float]:
    """Let a stage run to its end, if it has not ended.

    Returns the longest time of each phase, the time ``PHASE N`` of a phase in step N, and ``step N`` of all in step N.
    Seconds.

    Raises:
        SystemExit: the stage failed.
    """
    if ended(folder / "runs" / stage):
        return {}
    running, seen, at, since = Running(folder, stage, sessions), "start", 0, time.monotonic()
    phases: dict[str, float] = {}
    while not running.ended:
        (found, step), now = running.phase(), time.monotonic()
        if (found, step) != (seen, at):
            phases[seen] = round(max(phases.get(seen, 0.0), now - since), 2)
            for name in (f"step {at}", f"{seen} {at}") if seen in OF_A_STEP else ():
                phases[name] = round(phases.get(name, 0.0) + now - since, 2)
            seen, at, since = found, step, now
        time.sleep(POLL / 10)
    if running.process.wait():
        raise SystemExit(f"{stage} failed without a kill: {running.lines()[-3:]}")
    return phases


def undisturbed(out: Path, stage: str, sessions: Path) -> dict[str, float]:
    """The stage without a kill, once. Returns the times of ``finish``."""
    folder, path = out / "whole", out / f"phases-{stage}.json"
    if not path.exists():
        shutil.rmtree(folder / "runs" / stage, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(finish(folder, stage, sessions), indent=1))
    return {str(name): float(value) for name, value in json.loads(path.read_text()).items()}


def weights(folder: Path, stage: str) -> str:
    """SHA-256 over the published policy's weights."""
    digest = hashlib.sha256()
    for path in sorted((folder / "ckpt" / stage).glob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def verdict(whole: Path, killed: Path, stage: str) -> dict[str, Any]:
    """Whether the weights are the same bits, the steps with a row, the extra rounds of sampling, and hidden files.

    Files are written under hidden names and then renamed, so that one in an ended run is what a kill has left.
    """
    run = killed / "runs" / stage
    rows = [row for row in read_metrics(run / METRICS) if row.is_training]
    return {
        "same": weights(killed, stage) == weights(whole, stage),
        "hidden": sorted(str(path.relative_to(run)) for path in run.rglob(".*")),
        "rows": [row.step for row in rows],
        "extra_rounds": [int(row[EXTRA_ROUNDS]) for row in rows],
    }
