"""Calls of the product's own commands, printed as a person would type them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from judgerlvr.cluster.forking.start import own_forking_python
from rewards.errors import CommandFailed

Call = Callable[..., None]


class CommandEnded(CommandFailed):
    """A command returned another exit code than 0. ``returned`` is negative for a signal, as in ``subprocess``."""

    def __init__(self, module: str, returned: int) -> None:
        super().__init__(f"judgerlvr.{module} returned {returned}")
        self.returned = returned
        # A shell counts a signal in the same way.
        self.code = returned if returned > 0 else 128 - returned


@dataclass(frozen=True)
class Room:
    """What a machine has room for: ``evaluations`` at once, and ``two_stages`` side by side."""

    evaluations: int = 1
    two_stages: bool = False


ALONE = Room()
# A command that is interrupted by a terminal ends by itself, since the terminal interrupts its processes too.
PATIENCE = 10.0
# Ends a command at once when this process is killed. A command that went on would hold its run against the next call.
# The kernel's wish outlives ``exec``. A fork of the server ends with the server in the same way.
BOUND = """import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]): os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"""
# Commands that run now. With ``_failed`` set no command starts. The lock keeps both together.
_at_work: set[subprocess.Popen[str]] = set()
_failed = threading.Event()
_lock = threading.Lock()


def call(module: str, *arguments: object, label: str = "", apart: bool = False) -> None:
    """Run a command of the product in a process of its own.

    ``label`` stands before each line of output, for commands side by side. ``apart`` shows the output at the end.

    Raises:
        CommandEnded: the command returned another exit code than 0.
        CommandFailed: the command was not started behind another's failure.
    """
    words = _words(module, arguments)
    print(f"\n$ python {' '.join(words)}", flush=True)
    captured = subprocess.PIPE if label or apart else None
    with _started(words, captured) as process:
        if label:
            _relay(process, label)
        output, _ = process.communicate()
    if apart:
        print(f"\nend of: python {' '.join(words)}\n{output}", end="", flush=True)
    if process.returncode:
        raise CommandEnded(module, process.returncode)


@contextmanager
def _started(words: Sequence[str], stdout: int | None) -> Iterator[subprocess.Popen[str]]:
    """A command that ends with the block, in whatever way the block ends."""
    with _lock:
        if _failed.is_set():
            raise CommandFailed(f"not started behind another command's failure: {' '.join(words)}")
        process = subprocess.Popen([*_python(), *words], stdout=stdout, text=True)
        _at_work.add(process)
    try:
        yield process
    except BaseException as error:
        _end(process, PATIENCE if isinstance(error, KeyboardInterrupt) else 0.0)
        raise
    finally:
        if process.stdout:
            process.stdout.close()
        _at_work.discard(process)


def _python() -> list[str]:
    """What runs a command as ``python`` does, no longer than this process lives."""
    program = own_forking_python()
    return [program] if program else [sys.executable, "-S", "-E", "-c", BOUND, str(os.getpid())]


def _end(process: subprocess.Popen[str], patience: float) -> None:
    """Wait for ``patience`` seconds, ask the command to end, and kill the command if it does not."""
    try:
        for ask in (lambda: None, process.terminate):
            ask()
            with suppress(subprocess.TimeoutExpired):
                process.wait(patience)
                return
            patience = PATIENCE
    finally:
        process.kill()
        process.wait()


def _words(module: str, arguments: Sequence[object]) -> list[str]:
    return ["-m", f"judgerlvr.{module}", *map(str, arguments)]


def _relay(process: subprocess.Popen[str], label: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        # One write a line, so that the lines of two commands stay whole.
        sys.stdout.write(f"{label:>8} | {line}")
        sys.stdout.flush()


def together(calls: Sequence[Callable[[], None]], at_once: int) -> None:
    """Make calls, ``at_once`` at a time. The first failure ends the processes of the others and is raised."""
    if at_once < 2:
        for one in calls:
            one()
        return
    try:
        with ThreadPoolExecutor(at_once) as pool:
            futures = [pool.submit(one) for one in calls]
            _follow(futures)
    finally:
        _failed.clear()


def _follow(futures: Sequence[Future[None]]) -> None:
    """Wait for all. The first failure, or an interrupt of the wait, lets nothing more start."""
    try:
        for future in as_completed(futures):
            future.result()
    except BaseException as error:
        patience = PATIENCE if isinstance(error, KeyboardInterrupt) else 0.0
        with _lock:
            _failed.set()
        for future in futures:
            future.cancel()
        try:
            wait(futures, patience)
        finally:
            for process in list(_at_work):
                process.terminate()
        raise
