"""Calls of the product's own commands, printed as a person would type them."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass

from judgerlvr.cluster.forking.start import forking_python
from rewards.errors import CommandFailed

Call = Callable[..., None]


@dataclass(frozen=True)
class Room:
    """What a machine has room for: ``evaluations`` at once, and ``two_stages`` side by side."""

    evaluations: int = 1
    two_stages: bool = False


ALONE = Room()
_at_work: set[subprocess.Popen[str]] = set()


def call(module: str, *arguments: object, label: str = "", apart: bool = False) -> None:
    """Run a command of the product in a process of its own.

    ``label`` stands before each line of output, for commands side by side. ``apart`` shows the output at the end.

    Raises:
        CommandFailed: the command returned another exit code than 0.
    """
    words = _words(module, arguments)
    print(f"\n$ python {' '.join(words)}", flush=True)
    captured = subprocess.PIPE if label or apart else None
    with subprocess.Popen([forking_python() or sys.executable, *words], stdout=captured, text=True) as process:
        _at_work.add(process)
        if label:
            _relay(process, label)
        output, _ = process.communicate()
        _at_work.discard(process)
    if apart:
        print(f"\nend of: python {' '.join(words)}\n{output}", end="", flush=True)
    if process.returncode:
        raise CommandFailed(f"judgerlvr.{module} returned {process.returncode}")


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
    failed = threading.Event()
    with ThreadPoolExecutor(at_once) as pool:
        futures = [pool.submit(_unless, failed, one) for one in calls]
        wait(futures, return_when=FIRST_EXCEPTION)
        if any(future.done() and future.exception() for future in futures):
            failed.set()
            for process in list(_at_work):
                process.terminate()
    for future in futures:
        future.result()


def _unless(failed: threading.Event, call: Callable[[], None]) -> None:
    if not failed.is_set():
        call()
