"""A console that shows progress only: everything the libraries print goes to ``engine.log`` of the run folder."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from judgerlvr.runs.metrics import PROGRESS

ENGINE_LOG = "engine.log"
TAIL_SECONDS = 0.5


@contextmanager
def quiet(run_dir: Path) -> Iterator[None]:
    """Redirect file descriptors 1 and 2 to the log, and copy new lines of the progress file to the old ones."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    done = threading.Event()
    progress = run_dir / PROGRESS
    progress.touch()
    with (run_dir / ENGINE_LOG).open("a") as log, os.fdopen(os.dup(saved[0]), "w") as console:
        tail = threading.Thread(target=_follow, args=(progress, console, done), daemon=True)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        tail.start()
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            done.set()
            tail.join()
            for old, new in zip(saved, (1, 2), strict=True):
                os.dup2(old, new)
                os.close(old)


def _follow(path: Path, console: TextIO, done: threading.Event) -> None:
    with path.open(encoding="utf-8") as file:
        file.seek(0, os.SEEK_END)
        while True:
            finished = done.wait(TAIL_SECONDS)
            console.write(file.read())
            console.flush()
            if finished:
                return


def last_lines(run_dir: Path, count: int = 15) -> str:
    """The end of the engine's log, shown when a stage fails."""
    path = run_dir / ENGINE_LOG
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return "\n".join(line[:300] for line in lines[-count:])
