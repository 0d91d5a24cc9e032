"""Removal of what a private Ray session or another owned folder leaves behind, also after a death that no handler sees.

A process beside each folder runs the file alone, so that only the standard library is imported.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

# Ray writes the session below the variable's folder, and every process of the session inherits the variable.
VARIABLE = "RAY_TMPDIR"
OWNER = "owner"
# Folder of a file for each forked process. The environment of a fork shows the variables of its server.
FORKS = "forks"
# Ray ends most workers. The rest is killed after so many seconds.
PATIENCE = 5.0
POLL = 0.1
# Python's process that removes shared memory and semaphores of a killed process, and the seconds that it may take.
TRACKER = b"multiprocessing.resource_tracker"
TRACKING = 2.0
# How the names of shared memory begin that Python's semaphores, vLLM and this package's connectors make.
SHARED = Path("/dev/shm")
CHOICES = "judgerlvr-blocks-"
MADE = ("sem.mp-", "vllm_", CHOICES)
# Folders by the process that owns them. A fork owns none.
_owned: set[tuple[int, Path]] = set()
UNHEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


def processes(folder: Path) -> list[int]:
    """Living processes that were started with ``folder`` for their session. The caller's process is left out."""
    named = f"{VARIABLE}={folder}".encode()
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [pid for pid in pids if named in _environment(pid) or _is_fork(folder, pid)]


def _is_fork(folder: Path, pid: int) -> bool:
    """Whether the process has noted itself in the session. The caller's process is left out."""
    start = _start(pid)
    # A fork that ends, and a folder on its way out, may have lost the note meanwhile.
    with suppress(OSError):
        return pid != os.getpid() and bool(start) and _note(folder, pid).read_text(encoding="utf-8") == start
    return False


def _note(folder: Path, pid: int) -> Path:
    return folder / FORKS / str(pid)


def note_process() -> None:
    """Count the caller's process among the processes of its session, if a session is around it."""
    folder = Path(os.environ.get(VARIABLE, ""))
    if VARIABLE in os.environ and (folder / OWNER).exists():
        (folder / FORKS).mkdir(exist_ok=True)
        _note(folder, os.getpid()).write_text(_start(os.getpid()), encoding="utf-8")


def _start(pid: int) -> str:
    """When a living process started, in the kernel's count. Empty for a dead process and for a zombie."""
    try:
        found = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if found[0] == "Z" else found[19]


def _environment(pid: int) -> list[bytes]:
    """A process's first variables. A zombie has none."""
    if pid == os.getpid():
        return []
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def shared_memory(folder: Path) -> dict[Path, int]:
    """Shared memory that the session's processes have made and map, with the inodes."""
    mapped = set().union(*map(_mapped, processes(folder)))
    return {path: inode for path in SHARED.glob("*") if (inode := _inode(path)) in mapped and _is_made(path)}


def _is_made(path: Path) -> bool:
    return path.name.startswith(MADE)


def _inode(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_ino
    return 0


def _mapped(pid: int) -> set[int]:
    """Inodes of the shared memory that a process maps. A semaphore is mapped under another name than its own."""
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace").splitlines()
        fields = (line.split(maxsplit=5) for line in lines if f" {SHARED}/" in line)
        return {int(words[4]) for words in fields}
    return set()


def _forget(made: dict[Path, int]) -> None:
    """Remove the names that nobody has removed. Ray and the kernel also kill the trackers that would do so."""
    for path, inode in made.items():
        if _inode(path) == inode:
            path.unlink(missing_ok=True)


def remove(folder: Path, patience: float | None = None, made: dict[Path, int] | None = None) -> None:
    """End the session's processes, after ``PATIENCE`` by default, then remove sockets, locks, logs and shared memory.

    ``made`` is the session's shared memory from before its processes began to end.
    """
    made = (made or {}) | shared_memory(folder)
    until = time.monotonic() + (PATIENCE if patience is None else patience)
    while processes(folder) and time.monotonic() < until:
        time.sleep(POLL)
    until = time.monotonic() + TRACKING
    while left := processes(folder):
        # Python's trackers end by themselves behind their processes, and remove the semaphores of these.
        others = [pid for pid in left if not _tracks(pid)]
        for pid in others or (left if time.monotonic() > until else []):
            _kill(pid)
        time.sleep(POLL)
    _forget(made)
    shutil.rmtree(folder, ignore_errors=True)


def _tracks(pid: int) -> bool:
    try:
        return TRACKER in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def own(folder: Path) -> int:
    """Lock a new folder for the caller's process. Returns the descriptor that keeps the lock."""
    # Locked before the name is there, so that no sweep finds the file without its lock.
    unnamed = folder / f".{OWNER}"
    descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.lockf(descriptor, fcntl.LOCK_EX)
    unnamed.rename(folder / OWNER)
    _owned.add((os.getpid(), folder))
    return descriptor


def sweep(base: Path, prefix: str) -> None:
    """Remove the folders in ``base`` whose owners are dead, for example after the machine went down."""
    for folder in base.glob(f"{prefix}*"):
        # A process's own lock does not hold against the process, and a second descriptor's end would release the lock.
        if (os.getpid(), folder) in _owned:
            continue
        try:
            descriptor = os.open(folder / OWNER, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(folder, patience=0.0)
        except OSError:
            continue
        finally:
            os.close(descriptor)


def main(folder: Path, patience: float) -> None:
    """Wait for the owner's end, and remove what the owner did not remove."""
    for number in UNHEARD:
        signal.signal(number, signal.SIG_IGN)
    try:
        descriptor = os.open(folder / OWNER, os.O_RDWR)
    except FileNotFoundError:
        return
    fcntl.lockf(descriptor, fcntl.LOCK_EX)
    if folder.exists():
        remove(folder, patience)
