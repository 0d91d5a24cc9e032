"""A console that shows progress only: everything the libraries print goes to ``engine.log`` of the run folder."""

from __future__ import annotations

import os
import re
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from judgerlvr.runs.metrics import PASSING, PHASE, PROGRESS
from judgerlvr.runs.terminal import width_of

ENGINE_LOG = "engine.log"
TAIL_SECONDS = 0.5
# Without a terminal a phase is told again after so many seconds, then after twice as many, and so on.
FIRST_REMINDER = 15.0
SEPARATOR = "  "
BAR = re.compile(r" \[#* *\]")
# Parts of a step's line that stay on any terminal: the first, and the last two.
LEAST_PARTS = 3


@contextmanager
def quiet(run_dir: Path) -> Iterator[None]:
    """Redirect file descriptors 1 and 2 to the log, and copy new lines of the progress file to the old ones."""
    sys.stdout.flush()
    sys.stderr.flush()
    # Descriptors, not sys.stdout: C++ libraries and child processes write past Python.
    saved = os.dup(1), os.dup(2)
    done = threading.Event()
    progress = run_dir / PROGRESS
    progress.touch()
    start = progress.stat().st_size
    with (run_dir / ENGINE_LOG).open("a") as log, os.fdopen(os.dup(saved[0]), "w") as console:
        tail = threading.Thread(target=_follow, args=(progress, start, console, done), daemon=True)
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


class Screen:
    """Lines of progress on a console, with the phase at work and its time below the last line.

    On a terminal the phase is one line that changes. Elsewhere the phase is told again at growing intervals.
    ``clock`` counts seconds.
    """

    def __init__(self, console: TextIO, width: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.console, self.width, self.clock = console, width, clock
        self.started = clock()
        self.phase, self.since, self.reminder = "", self.started, FIRST_REMINDER
        self.shown = False
        self.rest = ""

    def take(self, text: str) -> None:
        """Show new text of the progress file. A line that is not whole yet is kept for the next call."""
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            kind = next((mark for mark in (PHASE, PASSING) if line.startswith(mark)), None)
            if kind is None:
                self._erase()
                self._print(*fit(line, self.width))
                continue
            self.phase, self.since, self.reminder = line.removeprefix(kind), self.clock(), FIRST_REMINDER
            if kind == PHASE:
                self._erase()
                self._print(*fit(self._phase_line(), self.width))

    def tick(self) -> None:
        """Show how long the phase has been at work."""
        if not self.phase:
            return
        if self.width is not None:
            self._erase()
            self.console.write(fit(self._phase_line(), self.width - 1)[0])
            self.shown = True
            self.console.flush()
        elif self.clock() - self.since >= self.reminder:
            self.reminder *= 2
            self._print(self._phase_line())

    def close(self) -> None:
        self._erase()
        self.console.flush()

    def _phase_line(self) -> str:
        now = self.clock()
        took = now - self.since
        return f"  {clock_time(now - self.started)} {self.phase}" + (f" ({took:.0f} s)" if took >= 1 else "")

    def _erase(self) -> None:
        if self.shown:
            self.console.write("\r\x1b[K")
            self.shown = False

    def _print(self, *lines: str) -> None:
        self.console.write("".join(f"{line}\n" for line in lines))
        self.console.flush()


def clock_time(seconds: float) -> str:
    """``1:05`` or ``2:01:05``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def fit(line: str, width: int | None) -> list[str]:
    """The line in lines of at most ``width`` columns. A step's line loses its bar, then its middle parts."""
    if width is None or len(line) <= width:
        return [line]
    parts = BAR.sub("", line).strip().split(SEPARATOR)
    if len(parts) <= LEAST_PARTS:
        indent = " " * (len(line) - len(line.lstrip()))
        return textwrap.wrap(line, width, subsequent_indent=f"{indent}  ", break_on_hyphens=False) or [""]
    while len(parts) > LEAST_PARTS and len(SEPARATOR.join(parts)) > width:
        del parts[-LEAST_PARTS]
    return textwrap.wrap(SEPARATOR.join(parts), width)


def _follow(path: Path, start: int, console: TextIO, done: threading.Event) -> None:
    screen = Screen(console, width_of(console))
    with path.open(encoding="utf-8") as file:
        file.seek(start)
        while True:
            # The flag is read before the file, so that the last lines are copied too.
            finished = done.wait(TAIL_SECONDS)
            screen.take(file.read())
            if finished:
                screen.close()
                return
            screen.tick()


def last_lines(run_dir: Path, count: int = 15) -> str:
    """The end of the engine's log."""
    path = run_dir / ENGINE_LOG
    # A library may write bytes that are no UTF-8, and the failure must be shown all the same.
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return "\n".join(line[:300] for line in lines[-count:])
