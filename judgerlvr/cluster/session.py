"""A Ray session from start to end. A private session has a folder, which goes with the session."""

from __future__ import annotations

import getpass
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import ray

from judgerlvr.cluster import remains
from judgerlvr.cluster.own_folder import make_folder
from judgerlvr.cluster.ray import leave

PREFIX = "judge-ray-"
# Ray puts so many characters behind the folder's name in a socket's path.
BEHIND = 64
PARTS = ("raylet", "gcs_server")
# Ray's driver gives its servers 30 s, which imports alone may take where other work has the cores.
START_SECONDS = 180.0
# Ray's own name of its patience with the server that all others ask.
GCS_PATIENCE = "RAY_gcs_server_port_wait_time_s"
# Ray's helpers take a tenth of a core for figures that nobody reads in a private session.
QUIET = {
    # Workers that start before anyone asks have no environment of ours, and are never used.
    "RAY_prestart_worker_first_driver": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_task_events_report_interval_ms": "0",
    "RAY_enable_timeline": "0",
    "RAY_event_stats": "0",
    "REPORTER_UPDATE_INTERVAL_MS": "600000",
    "METRICS_RECORD_INTERVAL_S": "600",
    "RAY_DASHBOARD_AGENT_CHECK_PARENT_INTERVAL_S": "2",
    # How often the log monitor lists the session's files. A worker's first line comes that much later.
    "LOG_NAME_UPDATE_INTERVAL_S": "2",
}


@dataclass(frozen=True)
class Session:
    """A Ray session. ``folder`` is None in a cluster that others started.

    ``before`` are servers of the same process from before. A start that fails leaves dead ones.
    """

    folder: Path | None = None
    before: frozenset[int] = frozenset()

    def dead_part(self) -> str | None:
        """The first process of a private cluster that has ended, and by which signal."""
        own = ((pid, name) for pid, name in _parts() if pid not in self.before)
        return next(filter(None, (_end_of(pid, name) for pid, name in own)), None)

    def log_of(self, pid: int | None = None) -> str:
        """Everything that a worker on the session's machine has written, without ``pid`` all workers."""
        # Ray keeps its sessions one folder below. ``session_latest`` names one of them again.
        pattern = f"ray/session_[0-9]*/logs/worker-*-{pid or '*'}.[eo][ru][rt]"
        logs = self.folder.glob(pattern) if self.folder else ()
        return "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in sorted(logs))


def _parts() -> list[tuple[int, str]]:
    """(process, name) of the Ray servers that the caller's process started. Dead servers are included."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            name, _, rest = (process / "stat").read_text(encoding="utf-8").partition("(")[2].rpartition(")")
            if name in PARTS and int(rest.split()[1]) == os.getpid():
                found.append((int(process.name), name))
    return found


def _end_of(pid: int, name: str) -> str | None:
    """How a child ended, None for a living child. The child stays waitable for Ray."""
    try:
        end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    if end is None:
        return None
    killed = end.si_code in (os.CLD_KILLED, os.CLD_DUMPED)
    how = f"was killed by {signal.Signals(end.si_status).name}" if killed else f"exited with {end.si_status}"
    return f"Ray's {name} on this machine (process {pid}) {how}"


@contextmanager
def session(address: str | None) -> Iterator[Session]:
    """A Ray session that is started inside ends here, with processes, sockets, locks and logs.

    A private session gets a folder, which goes with the caller's process at the latest.
    """
    if address:
        try:
            yield Session()
        finally:
            _shutdown()
        return
    folder, owner = make_folder(PREFIX, BEHIND)
    try:
        with _variables(folder):
            try:
                yield Session(folder, frozenset(pid for pid, _ in _parts()))
            finally:
                made = remains.shared_memory(folder)
                _shutdown()
        remains.remove(folder, made=made)
    finally:
        os.close(owner)


def _shutdown() -> None:
    # A full disk or a dead raylet fails here too. The first error is to be told.
    with suppress(ray.exceptions.RayError, OSError):
        leave()


@contextmanager
def _variables(folder: Path) -> Iterator[None]:
    """Variables of the session's processes. The owner's own temporary files stay in their place."""
    own = tempfile.gettempdir()
    # torch keeps compiled code in the temporary folder, for later runs as well.
    compiled = os.environ.get("TORCHINDUCTOR_CACHE_DIR", f"{own}/torchinductor_{getpass.getuser()}")
    new = {remains.VARIABLE: str(folder), "TMPDIR": str(folder), "TORCHINDUCTOR_CACHE_DIR": compiled}
    kept = QUIET | {GCS_PATIENCE: f"{START_SECONDS:.0f}"}
    new |= {name: os.environ.get(name, value) for name, value in kept.items()}
    before = {name: os.environ.get(name) for name in new}
    os.environ.update(new)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
