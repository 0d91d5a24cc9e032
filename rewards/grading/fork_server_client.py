"""The pool's end of the nursery process: start it, order forks and kills, notice its death."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from rewards.grading import messages as wire
from rewards.verifier import ended_by


@dataclass(frozen=True)
class ProcessClock:
    """Processor seconds that a process has used and the state of the process.

    ``runnable``: the process runs or waits for a processor. ``stopped``: somebody sent the process SIGSTOP.
    """

    seconds: float
    runnable: bool
    stopped: bool = False


def process_clock(pid: int) -> ProcessClock | None:
    """The clock of a process, read from the kernel. None when the process is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    ticks = int(fields[11]) + int(fields[12])
    return ProcessClock(ticks / os.sysconf("SC_CLK_TCK"), fields[0] == "R", fields[0] in ("T", "t"))


class Nursery:
    """One running nursery. ``control`` becomes readable when it is ready, has failed, or has died."""

    def __init__(self, verifier: str) -> None:
        # Packets keep one order and its socket together.
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.inbox = wire.Inbox(self.control)
        self.ready = False
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "rewards.grading.fork_server", str(theirs.fileno()), verifier],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # What this process can import, the verifier's process must be able to import too.
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
                # Ctrl-C goes to the trainer, which then closes the pool; the nursery follows the control socket.
                start_new_session=True,
            )

    @property
    def end(self) -> str:
        """How the nursery ended, once it was stopped."""
        return ended_by(self._process.returncode or 0)

    def fork(self, number: int, inner_seconds: float, megabytes: int) -> socket.socket:
        """Order a worker and return its socket; raises OSError when the nursery is gone."""
        ours, theirs = socket.socketpair()
        with theirs:
            order = f"fork:{number}:{inner_seconds}:{megabytes}".encode()
            socket.send_fds(self.control, [order], [theirs.fileno()])
        return ours

    def kill(self, number: int) -> None:
        """Order the death of a worker; only the nursery knows that a process id is still its child's."""
        with contextlib.suppress(OSError):
            self.control.send(f"kill:{number}".encode())

    def stop(self) -> None:
        """Close the control socket, on which the nursery kills its workers and ends; wait for that."""
        self.control.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
