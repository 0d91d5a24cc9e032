"""A Python program run by bubblewrap: no network, no files but the system's, and hard limits.

The program runs under an unprivileged uid of its own, since a process limit does not bind root.
The input, the program and both output streams are unnamed files, so that nothing of a run stays behind.
"""

from __future__ import annotations

import itertools
import os
import platform
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

from judgerlvr.evaluation.scoring.limits import MIB, CodeReason, Limits, reason_of
from judgerlvr.evaluation.scoring.seccomp import filter_of

PYTHON = "/usr/bin/python3"
# A uid a run, so that the process limits of runs side by side do not add up. No login has so high a uid.
_FIRST_UID, _UIDS = 1_100_000_000, 1_000_000
_ERROR_TAIL = 4096
_numbers = itertools.count()
_lock = threading.Lock()


@dataclass(frozen=True)
class CodeRun:
    """What a program wrote to its output, and why it failed. None is a clean end."""

    output: bytes
    failure: CodeReason | None


def why_unavailable() -> str | None:
    """One line that says why no sandbox can be used here, or None if a sandbox can. Found once a process."""
    missing = [name for name in ("bwrap", "prlimit", PYTHON) if shutil.which(name) is None]
    if missing:
        return f"no {', '.join(missing)} here; run: apt-get install bubblewrap util-linux python3"
    if filter_of() is None:
        return f"no table of system calls for {platform.machine()}; use a machine of x86_64 or aarch64"
    return _probe()


@cache
def _probe() -> str | None:
    done = run_python("print('ready')", b"", Limits())
    if done.failure is None and done.output == b"ready\n":
        return None
    return "bubblewrap cannot start here; allow unprivileged user namespaces (sysctl user.max_user_namespaces)"


def run_python(program: str, standard_input: bytes, limits: Limits, sandboxed: bool = True) -> CodeRun:
    """Run a program with the system's Python and return its output.

    ``sandboxed=False`` keeps the limits but that of processes, and drops all walls.
    """
    with ExitStack() as stack:
        source, calls, given, output, errors = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(5))
        _fill(source, program.encode("utf-8", "surrogatepass"))
        _fill(calls, filter_of() or b"")
        _fill(given, standard_input)
        passed = (source.fileno(), calls.fileno())
        command = [*limits.command(), *(_walls(*passed, limits) if sandboxed else _bare(source.fileno()))]
        status = _wait(command, (given, output, errors), passed, limits)
        return CodeRun(_read(output), None if status == 0 else _failure(status, errors))


def _fill(file: IO[bytes], content: bytes) -> None:
    file.write(content)
    file.seek(0)


def _walls(program: int, calls: int, limits: Limits) -> list[str]:
    """The ``bwrap`` command: system folders read-only, one small writable folder, everything else absent."""
    links = [("usr/lib", "/lib"), ("usr/lib64", "/lib64"), ("usr/bin", "/bin")]
    shown = [word for target, name in links for word in _system_folder(target, name)]
    devices = [word for name in ("null", "zero", "urandom") for word in ("--dev-bind", f"/dev/{name}", f"/dev/{name}")]
    return [
        *("bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"),
        *("--ro-bind", "/usr", "/usr", *shown, "--proc", "/proc", "--dir", "/dev", *devices),
        *("--size", str(limits.scratch_megabytes * MIB), "--tmpfs", "/tmp"),
        *("--ro-bind-data", str(program), "/program.py", "--remount-ro", "/", "--chdir", "/tmp"),
        *("--seccomp", str(calls)),
        *limits.process_command(),
        *(PYTHON, "-I", "-X", "utf8", "/program.py"),
    ]


def _system_folder(target: str, name: str) -> list[str]:
    return ["--symlink", target, name] if Path(name).is_symlink() else ["--ro-bind", name, name]


def _bare(program: int) -> list[str]:
    # An open file is read as it is, since another user may not open the file again.
    start = f"import os; exec(compile(os.fdopen({program}).read(), 'program.py', 'exec'), globals())"
    return [PYTHON, "-I", "-X", "utf8", "-c", start]


def _wait(command: list[str], streams: tuple[IO[bytes], ...], passed: tuple[int, ...], limits: Limits) -> int | None:
    """The exit status, or None after the wall time. The death of bwrap ends every process behind the walls."""
    given, output, errors = streams
    with _unprivileged() as identity:
        process = subprocess.Popen(
            command, stdin=given, stdout=output, stderr=errors, pass_fds=passed, env={}, cwd="/", **identity
        )
        try:
            return process.wait(limits.wall_seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            process.kill()
            process.wait()


@contextmanager
def _unprivileged() -> Iterator[dict[str, Any]]:
    """Arguments of Popen that drop root. Another user keeps its uid, which bwrap maps away."""
    if os.geteuid() != 0:
        yield {}
        return
    with _lock:
        number = next(_numbers)
    uid = _FIRST_UID + (os.getpid() * 1000 + number) % _UIDS
    yield {"user": uid, "group": uid, "extra_groups": []}


def _read(file: IO[bytes], tail: int = 0) -> bytes:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - tail) if tail else 0)
    return file.read()


def _failure(status: int | None, errors: IO[bytes]) -> CodeReason:
    killed = (128 + signal.SIGXCPU, 128 + signal.SIGKILL, -signal.SIGXCPU, -signal.SIGKILL)
    if status is None or status in killed:
        return CodeReason.TIMEOUT
    return reason_of(_read(errors, _ERROR_TAIL).decode("utf-8", "replace"))
