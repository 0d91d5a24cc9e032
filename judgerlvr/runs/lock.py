"""A lock on a run folder: a single process at a time trains in the folder, on whichever machine."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rewards.errors import InputError

LOCK = "lock"
# What a file system answers that has no locks, such as NFS without a lock daemon.
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


@contextmanager
def held(run_dir: Path) -> Iterator[None]:
    """Hold the run folder's lock. The system releases the lock when the process dies, however the process dies.

    POSIX record locks also work between the machines of an NFS mount. Where a file system has no locks, the note in
    the file counts: a note of a living process of this machine, or of another machine, is refused.

    Raises:
        InputError: another process holds the lock; the message names host and process.
    """
    path = run_dir / LOCK
    # Not truncated on opening: the note of a holder must stay readable.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _take(descriptor, path)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def seems_held(run_dir: Path) -> bool:
    """Whether the note names a process that may still run. Nothing is locked, so that a reader stops no run."""
    path = run_dir / LOCK
    if not path.is_file():
        return False
    try:
        note = json.loads(path.read_bytes() or b"{}")
    except (ValueError, RecursionError):
        return False
    return isinstance(note, dict) and _may_live(note)


def _take(descriptor: int, path: Path) -> None:
    note = _read_note(descriptor)
    try:
        # lockf takes record locks, which NFS passes on to other machines.
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN) or (error.errno in NO_LOCKS and _may_live(note)):
            who = f"process {note.get('pid', '?')} on {note.get('host', '?')}"
            remedy = f"wait for it, stop it, or remove {LOCK} once it is gone"
            raise InputError(f"in use by {who}", remedy, file=path.parent) from error
        if error.errno not in NO_LOCKS:
            raise


def _read_note(descriptor: int) -> dict[str, Any]:
    try:
        note = json.loads(os.pread(descriptor, 4096, 0) or b"{}")
    except (ValueError, RecursionError):
        return {}
    return note if isinstance(note, dict) else {}


def _may_live(note: dict[str, Any]) -> bool:
    """Whether the process of a note may still run. A process of another machine is taken for alive."""
    if not note:
        return False
    if note.get("host") != socket.gethostname():
        return True
    try:
        # Signal 0 sends nothing and fails for a process that is gone.
        os.kill(int(note.get("pid", 0)), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError, TypeError, OverflowError):
        return True
    return True
