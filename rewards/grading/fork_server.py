"""A single-threaded process that imports the verifier once and forks grading workers on request.

Forking from here costs milliseconds and shares the memory of sympy's import; forking from the trainer would be
unsafe (threads, CUDA) and spawning afresh costs 1-2 s a worker. Run as
``python -m rewards.grading.fork_server FD VERIFIER``.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import sys

from rewards.errors import InputError
from rewards.grading import messages as wire
from rewards.grading.worker import WorkerLimits, serve, warm_up
from rewards.types import Verifier
from rewards.verifier import load_verifier

_PARENT_CHECK_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1


def main(control_fd: int, verifier_path: str) -> None:
    """Fork a worker for each socket that arrives, kill workers on request, die with the parent."""
    parent = os.getppid()
    control = socket.socket(fileno=control_fd)
    with contextlib.suppress(BrokenPipeError):  # the pool was closed while this process started
        _raise_children(control, verifier_path, parent)


def _raise_children(control: socket.socket, verifier_path: str, parent: int) -> None:
    try:
        verifier = load_verifier(verifier_path).verify
    except (InputError, ImportError) as error:
        wire.send(control, ("failed", str(error)))
        return
    warm_up(verifier)
    wire.send(control, ("ready", os.getpid()))
    children: dict[int, int] = {}  # worker number -> process id
    try:
        while os.getppid() == parent:
            _reap(children)
            if select.select([control], [], [], _PARENT_CHECK_SECONDS)[0]:
                message, fds, *_ = socket.recv_fds(control, 256, 1)
                if not message:
                    return
                _obey(message.decode(), fds, children, control, verifier)
    finally:
        _kill_all(children)


def _obey(message: str, fds: list[int], children: dict[int, int], control: socket.socket, verifier: Verifier) -> None:
    verb, number, *limits = message.split(":")
    if verb == "fork":
        children[int(number)] = _fork(fds[0], WorkerLimits(float(limits[0]), int(limits[1])), control, verifier)
    elif int(number) in children:
        os.kill(children[int(number)], signal.SIGKILL)


def _fork(fd: int, limits: WorkerLimits, control: socket.socket, verifier: Verifier) -> int:
    pid = os.fork()
    if pid:
        os.close(fd)
        return pid
    status = 1
    try:
        control.close()
        _die_with_parent()
        serve(socket.socket(fileno=fd), verifier, limits)
        status = 0
    finally:
        # Skip the nursery's own clean-up, which would kill this worker's siblings.
        os._exit(status)


def _die_with_parent() -> None:
    """Linux: the kernel kills this worker when the nursery dies, even if it is inside a long C call."""
    nursery = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != nursery:
        os._exit(1)


def _reap(children: dict[int, int]) -> None:
    for number, pid in list(children.items()):
        if os.waitpid(pid, os.WNOHANG)[0]:
            del children[number]


def _kill_all(children: dict[int, int]) -> None:
    for pid in children.values():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
