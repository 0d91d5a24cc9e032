"""What a stage's command has left on the machine after its end."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from judgerlvr.cluster import remains
from judgerlvr.runs.lock import LOCK

SHARED = Path("/dev/shm")


@contextmanager
def short_sessions(letter: str) -> Iterator[Path]:
    """A folder for the Ray sessions of commands that die. A socket's path must be short."""
    base = Path("/tmp") / f"{letter}{os.getpid()}"
    base.mkdir()
    yield base
    for left in base.glob("*"):
        remains.remove(left, patience=0)
    base.rmdir()


def processes(base: Path) -> dict[int, str]:
    """Living processes with Ray sessions in ``base``, with their command lines. The command itself is one of them."""
    marks = (f"{remains.VARIABLE}={base}".encode(), f"{remains.VARIABLE}={base}/".encode())
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            variables = (process / "environ").read_bytes().split(b"\0")
            if any(value == marks[0] or value.startswith(marks[1]) for value in variables):
                found[int(process.name)] = (process / "cmdline").read_text(errors="replace").replace("\0", " ").strip()
    return found


def shared_memory() -> set[str]:
    """Names of the machine's shared memory."""
    return {path.name for path in SHARED.iterdir()}


def unmapped(names: set[str]) -> set[str]:
    """Those names of shared memory that no living process maps. Others' programs may map some.

    A mapping is known by its inode: a semaphore is mapped under the name that it had while it was made.
    """
    inodes = {}
    for name in names:
        with suppress(OSError):
            inodes[str((SHARED / name).stat().st_ino)] = name
    for maps in Path("/proc").glob("[0-9]*/maps") if inodes else ():
        with suppress(OSError):
            fields = (line.split() for line in maps.read_text(errors="replace").splitlines())
            for words in fields:
                if len(words) > 5 and words[5].startswith(f"{SHARED}/"):
                    inodes.pop(words[4], None)
    return set(inodes.values())


def is_locked(run: Path) -> bool:
    """Whether a process holds the lock of a run folder."""
    path = run / LOCK
    if not path.exists():
        return False
    with path.open("r+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def left_by(base: Path, run: Path, shared_before: set[str] | None = None) -> list[str]:
    """Processes, files in the folder of Ray sessions, a held lock, and shared memory that nobody maps.

    Without ``shared_before`` shared memory is not looked at, as tests beside may leave some.
    """
    shared = set() if shared_before is None else shared_memory() - shared_before
    return [
        *(f"process {name}" for name in processes(base).values()),
        *(f"file {path.name}" for path in base.iterdir()),
        *([f"lock of {run.name}"] if is_locked(run) else []),
        *(f"shared memory {name}" for name in sorted(unmapped(shared))),
    ]
