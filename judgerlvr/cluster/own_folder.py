"""Short folders that go with the process that made them, whichever processes are killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from judgerlvr.cluster import remains
from judgerlvr.cluster.socket_folder import base_of, socket_folder

# Runs the file of ``remains`` without the rest of the package, in an interpreter that starts in milliseconds.
REMOVER = """import runpy, sys, pathlib
runpy.run_path(sys.argv[1])["main"](pathlib.Path(sys.argv[2]), float(sys.argv[3]))"""


def make_folder(prefix: str, behind: int) -> tuple[Path, int]:
    """A new ``socket_folder`` of the caller's process, and the descriptor that keeps the folder's lock.

    A small process beside the caller removes the folder at the caller's end. Where that process was killed as well,
    the next call with ``prefix`` removes the folder. Closing the descriptor counts as the caller's end.
    """
    remains.sweep(base_of(prefix, behind), prefix)
    folder = socket_folder(prefix, behind)
    owner = remains.own(folder)
    _start_remover(folder)
    return folder, owner


@contextmanager
def own_folder(prefix: str, behind: int = 0) -> Iterator[Path]:
    """A folder of ``make_folder`` that is removed behind the block."""
    folder, owner = make_folder(prefix, behind)
    try:
        yield folder
    finally:
        remains.remove(folder)
        os.close(owner)


def _start_remover(folder: Path) -> None:
    command = [sys.executable, "-S", "-E", "-c", REMOVER, remains.__file__, str(folder), str(remains.PATIENCE)]
    nothing = subprocess.DEVNULL
    subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
