"""Signals to a stage: finish the step and seal a checkpoint, or end at once.

Signals are heard from the lock on the run folder to the end of the command. USR1 and a file ``STOP`` in the run folder
always let the step be finished. TERM and INT do so for ``stop.grace_seconds``. Without these seconds TERM and INT let
a step be finished whose update has not begun, and drop a step in its update. A second signal ends the run at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from judgerlvr.runs.metrics import is_before_update, log_progress
from judgerlvr.runs.stage import STOP, Stage

HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGALRM)


class Interrupted(KeyboardInterrupt):
    """A signal that ends the run now. ``number`` is the signal's number.

    Ray's waits let no other kind of exception out of a handler.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def heard(stop_file: Path) -> Iterator[None]:
    """Hear signals while there is no step to be finished. USR1 lets the first step be the last one.

    ``SignalHandlers`` takes over while the stage trains. The handlers of before return with the end of the block.

    Raises:
        Interrupted: TERM or INT came.
    """
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread can set handlers.
        yield
        return

    ending = signal.SIGINT

    def end(number: int, _: FrameType | None) -> None:
        nonlocal ending
        ending = signal.Signals(number)
        raise Interrupted(number)

    before = {number: signal.getsignal(number) for number in HEARD}
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        signal.signal(signal.SIGUSR1, lambda *_: ask_to_stop(stop_file))
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt as interrupt:
        # Ray's waits pass on a plain KeyboardInterrupt.
        raise Interrupted(ending) from interrupt
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def ask_to_stop(stop_file: Path, number: int | None = None) -> None:
    """Let the step at work be the last one. ``number`` is the signal that asks, None for USR1."""
    stop_file.write_text(signal.Signals(number).name if number else "", encoding="utf-8")


def asked_by(stop_file: Path) -> signal.Signals | None:
    """The signal that let a step be the last one, None for USR1 and for a file that a person made."""
    found = stop_file.read_text(encoding="utf-8", errors="replace")
    return next((number for number in (signal.SIGTERM, signal.SIGINT) if number.name == found), None)


class SignalHandlers:
    """Handlers of the process that gave the command."""

    def __init__(self, stage: Stage) -> None:
        self.run_dir, self.stop_file = stage.run_dir, stage.run_dir / STOP
        self.grace = stage.settings.stop.grace_seconds
        self.first: int | None = None
        self.ending: int | None = None
        self.cause: str | None = None
        self.installed = False

    def install(self) -> None:
        """Take over the signals. Only the main thread of a process can."""
        self.installed = True
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGUSR1, self._finish_step)
        signal.signal(signal.SIGALRM, self._grace_is_over)

    def fail(self, cause: str) -> None:
        """End the run from another thread. ``cause`` says what the run cannot go on without."""
        self.cause = cause
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

    def _finish_step(self, *_: object) -> None:
        ask_to_stop(self.stop_file)

    def _end(self, number: int, _: FrameType | None) -> None:
        if self.first is not None or not (self.grace or is_before_update(self.run_dir)):
            self._raise(number)
        self.first = number
        ask_to_stop(self.stop_file, number)
        # Without grace nothing is armed.
        signal.setitimer(signal.ITIMER_REAL, self.grace)
        name = signal.Signals(number).name
        log_progress(
            self.run_dir, f"{name}: the step is finished and sealed first; a second signal ends the run at once"
        )

    def _grace_is_over(self, *_: object) -> None:
        self._raise(self.first or signal.SIGTERM)

    def _raise(self, number: int) -> None:
        # Ray's waits pass on a plain KeyboardInterrupt, so the number is kept here as well.
        self.ending = number
        raise Interrupted(number)
