"""A fork's change into the process that was asked for: descriptors, environment, folder, and the program itself."""

from __future__ import annotations

import ctypes
import importlib.util
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judgerlvr.cluster.environment import CPU_THREADS
from judgerlvr.cluster.forking.launch import PASSED_ON, without_flags
from judgerlvr.cluster.forking.start import forking_python
from judgerlvr.cluster.remains import note_process

PR_SET_PDEATHSIG = 1
RESET = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD)


@dataclass(frozen=True)
class Asked:
    """``words`` follow ``python`` on the command line. ``received[i]`` becomes descriptor ``descriptors[i]``."""

    words: Sequence[str]
    environment: Mapping[str, str]
    folder: str
    descriptors: Sequence[int]
    received: Sequence[int]


def become(asked: Asked) -> types.CodeType:
    """Make this fork what a new interpreter would be before its program, and return the program's code.

    Raises:
        SystemExit: no such program.
    """
    # Ray may end a worker together with the worker's group, and the server is no part of a worker.
    os.setpgid(0, 0)
    _die_with_parent()
    place_descriptors(asked.received, asked.descriptors)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(asked.environment)
    note_process()
    os.chdir(asked.folder)
    for number in RESET:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # The server forks with these blocked, so that none meets the server's handlers.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    _forget_state()
    return _load(list(without_flags(asked.words)))


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def place_descriptors(received: Sequence[int], targets: Sequence[int]) -> None:
    """Give ``received[i]`` the number ``targets[i]``. Whatever had a target's number is closed.

    At most one further descriptor is open meanwhile, below the process's limit where the targets are.
    """
    waiting = list(received)
    for place, target in enumerate(targets):
        # A descriptor that waits at the target moves away first. Its new number may be a later target.
        waiting = [
            os.dup(number) if number == target and later > place else number for later, number in enumerate(waiting)
        ]
        number = waiting[place]
        if number == target:
            os.set_inheritable(number, True)
            continue
        os.dup2(number, target)
        os.close(number)


def _forget_state() -> None:
    """Undo what imports have fixed and a new interpreter would have chosen by its own environment."""
    tempfile.tempdir = None
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    threads = os.environ.get(CPU_THREADS, "")
    if "torch" in sys.modules and threads.isdecimal():
        sys.modules["torch"].set_num_threads(int(threads))
    if program := forking_python():
        multiprocessing.set_executable(program)


def _load(words: list[str]) -> types.CodeType:
    """The program of a command line, with ``sys.argv`` and a fresh ``__main__`` as the interpreter would set them."""
    main: Any = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    if words[0] == "-c":
        sys.argv, sys.path[0] = ["-c", *words[2:]], ""
        return compile(words[1], "<string>", "exec")
    if words[0] == "-m":
        return _module(main, words[1:])
    sys.argv, sys.path[0] = words, str(Path(words[0]).resolve().parent)
    main.__file__ = words[0]
    return compile(Path(words[0]).read_bytes(), words[0], "exec")


def _module(main: Any, words: list[str]) -> types.CodeType:
    sys.path[0] = str(Path.cwd())
    found = importlib.util.find_spec(words[0])
    if found is not None and found.submodule_search_locations is not None:
        found = importlib.util.find_spec(f"{words[0]}.__main__")
    loader: Any = found.loader if found else None
    code = loader.get_code(found.name) if found and loader else None
    if found is None or code is None:
        raise SystemExit(f"No module named {words[0]}")
    main.__file__, main.__spec__, main.__package__ = found.origin, found, found.parent
    sys.argv = [str(found.origin), *words[1:]]
    return code
