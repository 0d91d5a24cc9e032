"""The server: imports once, then answers each request with a fork of itself.

The server ends when its standard input does, that is with the process that started it, and takes its forks along.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from judgerlvr.cluster.forking.launch import PASSED_ON
from judgerlvr.cluster.forking.program import PR_SET_PDEATHSIG, Asked, become

OWNER = 0
POLL_SECONDS = 0.05
PATIENCE = 10.0


@dataclass
class Server:
    """One connection a fork: its end is the fork's end, and the fork's end is reported there."""

    listener: socket.socket
    connections: dict[int, socket.socket] = field(default_factory=dict)

    def serve(self) -> Asked | None:
        """Answer requests. Returns in each fork with what was asked for, and None in the server at its end."""
        while True:
            by_descriptor = {connection.fileno(): pid for pid, connection in self.connections.items()}
            listening = self.listener.fileno()
            ready, _, _ = select.select([OWNER, listening, *by_descriptor], [], [], POLL_SECONDS)
            self._report_ended()
            for pid in (by_descriptor[number] for number in ready if number in by_descriptor):
                self._hang_up(pid)
            if OWNER in ready and not os.read(OWNER, 1):
                return None
            if listening in ready and (asked := self._accept()):
                return asked

    def _accept(self) -> Asked | None:
        """The request in the fork, None in the server."""
        try:
            connection, _ = self.listener.accept()
        except OSError:
            return None
        connection.settimeout(PATIENCE)
        try:
            asked = _read(connection)
        except (OSError, ValueError, KeyError):
            connection.close()
            return None
        pid = _fork()
        if pid == 0:
            self._leave(connection)
            return asked
        _close_all(asked.received)
        if pid is None:
            connection.close()
            return None
        self.connections[pid] = connection
        self._tell(pid, {"pid": pid})
        return None

    def _leave(self, own: socket.socket) -> None:
        """In a fork: close what is the server's."""
        for connection in (self.listener, own, *self.connections.values()):
            connection.close()

    def _report_ended(self) -> None:
        while ended := _next_ended():
            pid, status = ended
            self._tell(pid, {"status": status})
            if connection := self.connections.pop(pid, None):
                connection.close()

    def _tell(self, pid: int, what: dict[str, int]) -> None:
        try:
            self.connections[pid].sendall(json.dumps(what).encode() + b"\n")
        except (OSError, KeyError):
            return

    def _hang_up(self, pid: int) -> None:
        """The process that stood for the fork is gone. A launcher says nothing more, so there is nothing to read."""
        if pid in self.connections:
            self.connections.pop(pid).close()
            os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        """End all forks. A request from now on finds nobody, and its launcher starts a new interpreter."""
        self.listener.close()
        for pid in list(self.connections):
            self._hang_up(pid)


def _next_ended() -> tuple[int, int] | None:
    """(process, status) of a fork that has ended."""
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def _fork() -> int | None:
    """``os.fork``, None where the machine has no room. The fork begins with the launcher's signals blocked.

    A signal that comes before ``become`` waits for the handlers of a new interpreter.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    pid = None
    try:
        pid = os.fork()
    except OSError:
        # The launcher starts a new interpreter in place of the fork.
        return None
    finally:
        if pid != 0:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    return pid


def _read(connection: socket.socket) -> Asked:
    """The request of a launcher.

    Raises:
        OSError, ValueError, KeyError: an unfinished request, or descriptors that this process cannot give a fork.
    """
    mark, received, _, _ = socket.recv_fds(connection, 1, 256)
    request: Asked | None = None
    try:
        line = connection.makefile("rb").readline()
        if not mark or not line.endswith(b"\n"):
            raise ValueError("an unfinished request")
        asked: dict[str, Any] = json.loads(line)
        _check_descriptors(received, asked["descriptors"])
        request = Asked(asked["words"], asked["environment"], asked["folder"], asked["descriptors"], received)
        return request
    finally:
        if request is None:
            _close_all(received)


def _check_descriptors(received: Sequence[int], targets: Sequence[int]) -> None:
    # A launcher may have a higher limit than the server, and the kernel leaves out what is above the limit.
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if len(received) != len(targets) or max(targets, default=0) >= limit:
        raise ValueError("more descriptors than this process may have")


def _close_all(descriptors: Sequence[int]) -> None:
    for number in descriptors:
        os.close(number)


def main(descriptor: int, modules: list[str]) -> None:
    """Import ``modules`` and answer at the listening socket ``descriptor`` until the owner's end.

    The socket's folder goes with the owner. A server that fails leaves the folder to launchers.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Requests wait in the socket's queue while the modules are imported.
    own, server = os.getpid(), Server(socket.socket(fileno=descriptor))
    try:
        _import(modules)
        asked = server.serve()
    finally:
        if os.getpid() == own:
            server.end()
    if asked is not None:
        exec(become(asked), sys.modules["__main__"].__dict__)


def _import(modules: Sequence[str]) -> None:
    # Imports take a minute on a busy machine, and the owner's end is not looked for meanwhile.
    _die_with_owner(signal.SIGKILL)
    for module in modules:
        importlib.import_module(module)
    # From now on the server ends its forks before it ends.
    _die_with_owner(0)
    gc.collect()
    # The memory of the imports stays shared with all forks.
    gc.freeze()


def _die_with_owner(number: int) -> None:
    """Let the kernel send a signal at the owner's death, no signal with 0."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
