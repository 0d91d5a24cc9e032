"""Start of the fork server, and the command that takes the place of ``python`` while the server lives."""

from __future__ import annotations

import atexit
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from judgerlvr.cluster.forking import launch
from judgerlvr.cluster.own_folder import make_folder

# Names the server's folder to the processes of a command, so that a command below another starts no second server.
VARIABLE = "JUDGERLVR_FORK_SERVER"
SOCKET, PYTHON = "s", "python"
PREFIX = "judge-fork-"
SERVER = """import sys; from judgerlvr.cluster.forking.server import main
main(int(sys.argv[1]), sys.argv[2:])"""
# Runs the launcher's file without the rest of the package.
LAUNCHER = 'import runpy, sys; sys.exit(runpy.run_path(sys.argv[1])["main"](sys.argv[2], sys.argv[3:]))'

_own: list[subprocess.Popen[bytes]] = []


def start_server(modules: Sequence[str], variables: Mapping[str, str]) -> None:
    """Start a server that imports ``modules`` under ``variables``, unless this process has one already.

    Returns at once. The first request waits for the imports. The server and its folder end with this process.
    """
    if forking_python():
        return
    folder, _ = make_folder(PREFIX, len(f"/{SOCKET}"))
    _write_python(folder)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(folder / SOCKET))
        listener.listen(128)
        number = listener.fileno()
        command = [sys.executable, "-c", SERVER, str(number), *modules]
        # In a session of its own, so that a terminal's Ctrl-C reaches a fork once, through its launcher.
        server = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            # Warnings of the imports. A fork has the descriptors of its launcher.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **variables},
            pass_fds=[number],
            start_new_session=True,
        )
    _own.append(server)
    os.environ[VARIABLE] = str(folder)
    atexit.register(_end, os.getpid(), server, folder)


def _end(owner: int, server: subprocess.Popen[bytes], folder: Path) -> None:
    """Remove the folder at the owner's end, also behind a server that was killed. The forks die with the server."""
    if os.getpid() != owner:
        return
    server.kill()
    server.wait()
    shutil.rmtree(folder, ignore_errors=True)


def forking_python() -> str | None:
    """A program that does what ``python`` does, as a fork of the server. None without a server."""
    program = Path(os.environ.get(VARIABLE, "/nowhere")) / PYTHON
    return str(program) if program.exists() else None


def own_forking_python() -> str | None:
    """The same program, if this process started the server itself. Only then do the forks end with this process."""
    return forking_python() if _own else None


def _write_python(folder: Path) -> None:
    words = [sys.executable, "-S", "-E", "-c", LAUNCHER, launch.__file__, str(folder / SOCKET)]
    program = folder / PYTHON
    program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
    program.chmod(0o700)
