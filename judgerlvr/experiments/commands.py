"""Calls of the product's own commands, printed as a person would type them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from judgerlvr.cluster.environment import CPU_THREADS, cpu_sampling
from judgerlvr.cluster.forking.start import forking_python
from rewards.errors import CommandFailed

Call = Callable[..., None]


def call(module: str, *arguments: object, apart: bool = False) -> None:
    """Run a command of the product in a process of its own. ``apart`` shows its output in one piece at its end.

    Raises:
        CommandFailed: the command returned another exit code than 0.
    """
    words = ["-m", f"judgerlvr.{module}", *map(str, arguments)]
    line = f"$ python {' '.join(words)}"
    print(f"\n{'at work: ' if apart else ''}{line}", flush=True)
    program = forking_python() or sys.executable
    done = subprocess.run([program, *words], check=False, stdout=subprocess.PIPE if apart else None, text=True)
    if apart:
        print(f"\ndone: {line}\n{done.stdout}", end="", flush=True)
    if done.returncode:
        raise CommandFailed(f"judgerlvr.{module} returned {done.returncode}")


def call_together(call: Call, commands: Sequence[Sequence[object]], at_once: int) -> None:
    """Make calls, ``at_once`` at a time. Raises as ``call``, after the calls that have begun."""
    if at_once < 2:
        for command in commands:
            call(*command)
        return
    with ThreadPoolExecutor(at_once) as pool:
        for _ in pool.map(lambda command: call(*command, apart=True), commands):
            pass


def evaluations_at_once(device: Literal["cpu", "gpu"]) -> int:
    """On a CPU one for each engine that has threads of its own. A GPU is full with one engine."""
    threads = int(cpu_sampling(1.0)[CPU_THREADS])
    return max(1, (os.cpu_count() or 1) // threads) if device == "cpu" else 1
