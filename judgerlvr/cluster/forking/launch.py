"""Stands in the place of the ``python`` command: asks the fork server for a process, and lives as long as the process.

Runs as a file of its own, without the package: only the standard library is imported, in milliseconds.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

# A person's or a parent's wish, which reaches the process itself through this one.
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
# More descriptors fit into no message.
MOST_DESCRIPTORS = 250
# Python's process that removes the semaphores of others once all of these have ended. A fork would die with the server.
TRACKER = "multiprocessing.resource_tracker"
# Flags of an interpreter that take no value and change nothing that a fork could still change.
FLAGS = ("-u", "-s", "-S", "-E", "-B", "-I", "-P")


def main(address: str, words: list[str]) -> int:
    """Run ``python WORDS`` as a fork, and return its exit status. Without a server a new interpreter runs the words."""
    # Until the process is known no signal is taken, so that none gets lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    started, answers = _ask(address, words) if _is_known(words) else ("", None)
    if not started or answers is None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
        if any(TRACKER in word for word in words):
            _leave_parent()
        os.execv(sys.executable, [sys.executable, *words])
    return _follow(int(json.loads(started)["pid"]), answers)


def _leave_parent() -> None:
    """Go on as nobody's child. Ray kills the children of a worker that ends, and a tracker has its work to do then."""
    if os.fork():
        os._exit(0)
    os.setsid()


def without_flags(words: Sequence[str]) -> Sequence[str]:
    while words and words[0] in FLAGS:
        words = words[1:]
    return words


def _is_known(words: Sequence[str]) -> bool:
    """Whether a fork can be what the words ask for: code, a module or a Python file, behind known flags."""
    program = without_flags(words)
    if not program:
        return False
    if program[0] in ("-c", "-m"):
        return len(program) > 1 and TRACKER not in program[1]
    return program[0].endswith(".py") and not program[0].startswith("-") and Path(program[0]).is_file()


def _ask(address: str, words: Sequence[str]) -> tuple[str, IO[str] | None]:
    """The server's first answer, and the file of further answers. The answer is empty without a fork."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    descriptors = _open_descriptors(server.fileno())
    try:
        server.connect(address)
        socket.send_fds(server, [b"d"], descriptors)
        environment, folder = dict(os.environ), str(Path.cwd())
        asked = {"words": words, "environment": environment, "folder": folder, "descriptors": descriptors}
        server.sendall(json.dumps(asked).encode() + b"\n")
        answers = server.makefile("r")
        return answers.readline(), answers
    except OSError:
        return "", None


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
