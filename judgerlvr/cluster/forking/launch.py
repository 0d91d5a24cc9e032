"""Stands in the place of the ``python`` command: asks the fork server for a process, and lives as long as the process.

Runs as a file of its own, without the package: only the standard library is imported, in milliseconds.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import IO

# A person's or a parent's wish, which reaches the process itself through this one.
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
# More descriptors fit into no message.
MOST_DESCRIPTORS = 250


def main(address: str, words: list[str]) -> int:
    """Run ``python WORDS`` as a fork, and return its exit status. Without a server a new interpreter runs the words."""
    # Until the process is known no signal is taken, so that none gets lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    descriptors = _open_descriptors(server.fileno())
    try:
        server.connect(address)
        socket.send_fds(server, [b"d"], descriptors)
        asked = {"words": words, "environment": dict(os.environ), "folder": str(Path.cwd()), "descriptors": descriptors}
        server.sendall(json.dumps(asked).encode() + b"\n")
        answers = server.makefile("r")
        started = answers.readline()
    except OSError:
        started = ""
    if not started:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
        os.execv(sys.executable, [sys.executable, *words])
    return _follow(int(json.loads(started)["pid"]), answers)


def _open_descriptors(own: int) -> list[int]:
    listed = (int(path.name) for path in Path("/proc/self/fd").iterdir())
    return sorted(number for number in listed if number != own and _is_open(number))[:MOST_DESCRIPTORS]


def _is_open(number: int) -> bool:
    # The listing itself had a descriptor, which is closed by now.
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _follow(pid: int, answers: IO[str]) -> int:
    """Pass signals on until the process ends, and return its exit status."""
    for number in PASSED_ON:
        signal.signal(number, lambda received, _: _pass_on(pid, received))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    ended = answers.readline()
    status = int(json.loads(ended)["status"]) if ended else signal.SIGKILL
    if os.WIFSIGNALED(status):
        _die_of(os.WTERMSIG(status))
    return os.WEXITSTATUS(status)


def _pass_on(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _die_of(number: int) -> None:
    """End as the process has ended, so that a parent reads the same cause."""
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
