"""The cause of a session's early end in one line: what ran out or was killed, where, and how much it was."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import ray

from judgerlvr.cluster.lost_actors import LostActor, lost_actors, silent_head
from judgerlvr.cluster.memory_kills import Kills, read_kills
from judgerlvr.cluster.session import Session
from judgerlvr.runs.console import ENGINE_LOG
from judgerlvr.runs.folder import read_failure
from judgerlvr.runs.root_cause import inner_error
from rewards.errors import CommandFailed, InputError

GIB = 2**30
# A traceback's line that names an error.
RAISED = re.compile(r"[\w.]*(Error|Exception|Failed|Mismatch)(:|$)")
# What Python's and Ray's handlers of fatal signals write before the end.
FATAL = re.compile(r"\*\*\* (SIG[A-Z]+) received|Fatal Python error: ([\w ]+)")
# Ray names the process and the node of a remote error in this form.
PLACE = re.compile(r"\(pid=\d+, ip=([\d.]+)")
FULL_DISK = re.compile(
    r"No space left on device|Disk quota exceeded|os error 28\b|PytorchStreamWriter failed writing|OutOfDiskError"
)
SMALLER = "lower cluster.micro_batch_tokens or cluster.rollout_gpu_share, or set cluster.offload=true"
MEMORY = {
    r"CUDA out of memory\. Tried to allocate ([\d.]+ \w+)\. GPU (\d+) has a total capacity of ([\d.]+ \w+) "
    r"of which ([\d.]+ \w+) is free": "GPU {1} is out of memory: {0} asked, {3} of {2} free; " + SMALLER,
    r"Free memory on device (\S+) \(([\d.]+)/([\d.]+) GiB\) on startup is less than desired \w+ memory "
    r"utilization": "{0} has {1} of {2} GiB free; lower cluster.rollout_gpu_share, or end what else runs there",
    r"No available memory for the cache blocks": "the rollout engine has no memory left for its cache; "
    "raise cluster.rollout_gpu_share",
    r"Memory on the node \(IP: ([\d.]+),.*?\) was ([\d.]+)GB used / ([\d.]+)GB limit": "node {0} is out of memory: "
    "{1} of {2} GB are used; lower cluster.rollout_cpu_gib or reward.workers",
}
# verl's words for a cluster that has lost a node since the preflight, or whose cards other work holds.
CARDS = re.compile(r"Total available GPUs ([\d.]+) is less than total desired GPUs (\d+)")
LOG_BYTES = 2**20


@dataclass(frozen=True)
class Evidence:
    """What was known when the session began, against which its end is read."""

    run_dir: Path
    session: Session
    kills: Kills = field(default_factory=read_kills)
    log_size: int = 0

    @classmethod
    def before(cls, run_dir: Path, session: Session) -> Evidence:
        log = run_dir / ENGINE_LOG
        return cls(run_dir, session, log_size=log.stat().st_size if log.exists() else 0)

    def cause(self, error: BaseException) -> str:
        """One line for an error that ended the session, from the surest source that knows the cause."""
        if noted := read_failure(self.run_dir):
            return noted
        if isinstance(error, ray.exceptions.WorkerCrashedError):
            return self.with_memory(f"the worker of a task was killed: {signal_in(self.session.log_of())}")
        root = error.cause if isinstance(error, ray.exceptions.RayTaskError) else None
        known = known_fault(f"{root or ''}\n{error}", self.run_dir) or self._death() or self._logged()
        # The kernel may have killed a process that is no actor of Ray's, such as a grading worker.
        return known or too_few_cards(str(root)) or self.with_memory(summary(error))

    def _death(self) -> str | None:
        """The server or worker that died, and the kernel's want of memory where that is why."""
        dead = self.session.dead_part() or (silent_head() if ray.is_initialized() else None)
        if dead is None:
            lost = lost_actors() if ray.is_initialized() else []
            dead = describe(lost[0], self.session.log_of(lost[0].pid)) if lost else None
        return self.with_memory(dead) if dead else None

    def with_memory(self, death: str) -> str:
        """The same death, after the kernel's want of memory if the kernel has killed meanwhile."""
        return with_memory(death, self.kills)

    def _logged(self) -> str | None:
        path = self.run_dir / ENGINE_LOG
        if not path.exists():
            return None
        with path.open("rb") as file:
            file.seek(max(self.log_size, path.stat().st_size - LOG_BYTES))
            return known_fault(file.read().decode(errors="replace"), self.run_dir)


def own_error(error: BaseException) -> InputError | CommandFailed | None:
    """The remote error where the error is one of ours, which says its cause itself."""
    root = error.cause if isinstance(error, ray.exceptions.RayTaskError) else None
    return root if isinstance(root, InputError | CommandFailed) else None


def known_fault(text: str, run_dir: Path) -> str | None:
    """The want of memory or of disk space that an error's text tells of, None for another error."""
    places = PLACE.findall(text)
    where = f" (node {places[-1]})" if places else ""
    for pattern, says in MEMORY.items():
        if found := re.search(pattern, text, re.DOTALL):
            return f"{says.format(*found.groups())}{where}"
    if FULL_DISK.search(text):
        free = shutil.disk_usage(run_dir).free / GIB
        return f"no space left on the device ({free:.2f} GiB free at {run_dir}); free some space{where}"
    return None


def too_few_cards(text: str) -> str | None:
    """Why a trainer found no place although the preflight had found one, None for another error."""
    if not (found := CARDS.search(text)):
        return None
    free, needed = float(found[1]), found[2]
    return f"{free:g} GPUs of the cluster are free and {needed} are needed; a node was lost, or other work holds GPUs"


def with_memory(death: str, before: Kills) -> str:
    """The same death, after the kernel's want of memory if the kernel has killed since ``before``."""
    memory = read_kills().since(before)
    return f"{memory}; {death}" if memory else death


def cause_of_loss(error: ray.exceptions.RayError, session: Session, before: Kills) -> str:
    """Why an actor answers no more: how its process died, else what the actor's own error says."""
    died = error.actor_id if isinstance(error, ray.exceptions.ActorDiedError) else None
    lost = next((actor for actor in lost_actors() if actor.actor == died), None) if died else None
    if lost is not None:
        return with_memory(describe(lost, session.log_of(lost.pid)), before)
    return known_fault(str(error), session.folder or Path.cwd()) or summary(error)


def describe(actor: LostActor, log: str) -> str:
    """How an actor was lost. A process without a signal in its log was killed by SIGKILL, which no process can log."""
    where = f"worker {actor.name} (process {actor.pid}, node {actor.node})"
    if actor.with_node:
        # Ray knows neither before the process has told them.
        if not actor.pid:
            return f"worker {actor.name} was lost with its node while it started"
        return f"{where} was lost with its node"
    if memory := re.search(r"Memory on the node .*? limit", actor.message):
        return f"{where} was killed by Ray: {memory.group()}"
    return f"{where} was killed: {signal_in(log, 'SIGTERM' if 'SIGTERM' in actor.message else 'SIGKILL')}"


def signal_in(log: str, else_: str = "SIGKILL") -> str:
    """The fatal signal that a process has noted in its log, else the signal that no process can note."""
    fatal = [name for found in FATAL.findall(log) for name in found if name]
    return fatal[-1] if fatal else else_


def summary(error: BaseException) -> str:
    """One line of an error: of a traceback the last error, of a message the beginning, since advice often follows."""
    root = error.cause if isinstance(error, ray.exceptions.RayTaskError) and error.cause else error
    if inner := inner_error(type(root).__name__, str(root)):
        return inner
    lines = [line for line in str(root).splitlines() if line.strip()] or [repr(root)]
    raised = [line for line in lines if RAISED.match(line)]
    return f"{type(root).__name__}: {(raised[-1] if raised else lines[0]).strip()}"
