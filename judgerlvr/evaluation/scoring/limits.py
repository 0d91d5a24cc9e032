"""Limits of sampled code, and how a run of such code can end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MIB = 1 << 20
# Process 1 behind the walls, which bwrap keeps there.
OWN_PROCESSES = 1


class CodeReason(StrEnum):
    """How code failed. A scorer stores the name as the reason of a zero."""

    TIMEOUT = "code_timeout"
    MEMORY = "code_memory_limit"
    PROCESSES = "code_process_limit"
    FILES = "code_file_access"
    NETWORK = "code_network_access"
    OUTPUT = "code_output_limit"
    CRASHED = "code_crashed"


@dataclass(frozen=True)
class Limits:
    """Limits of one run. ``seconds`` is processor time of a process, and ``wall_seconds`` bounds the whole run.

    ``megabytes`` is the address space of a process. All processes together hold at most ``processes`` times as much.
    ``processes`` counts the processes that the code may have at once, the interpreter included.
    ``scratch_megabytes`` is the size of the only writable folder. ``file_megabytes`` bounds
    each file and output stream.
    """

    seconds: int = 6
    megabytes: int = 1024
    processes: int = 3
    scratch_megabytes: int = 64
    file_megabytes: int = 64

    @property
    def wall_seconds(self) -> float:
        return 2.0 * self.seconds + 2.0

    def process_command(self) -> list[str]:
        """The ``prlimit`` command that limits processes. Behind the walls only processes of the run count."""
        return ["prlimit", f"--nproc={self.processes + OWN_PROCESSES}"]

    def command(self) -> list[str]:
        """The ``prlimit`` command that sets all other limits for the command behind it."""
        return [
            "prlimit",
            f"--as={self.megabytes * MIB}",
            f"--cpu={self.seconds}:{self.seconds + 1}",
            f"--fsize={self.file_megabytes * MIB}",
            "--core=0",
            "--nofile=64",
        ]


# The last line of a traceback, by what the sandbox denied.
_DENIALS = (
    (("MemoryError", "Cannot allocate memory"), CodeReason.MEMORY),
    (("BlockingIOError", "can't start new thread", "Resource temporarily unavailable"), CodeReason.PROCESSES),
    (("File too large",), CodeReason.OUTPUT),
    (("Network is unreachable", "gaierror", "ConnectionRefusedError", "ConnectionError"), CodeReason.NETWORK),
    (
        ("PermissionError", "FileNotFoundError", "Read-only file system", "No space left", "IsADirectoryError"),
        CodeReason.FILES,
    ),
)


def reason_of(error_text: str) -> CodeReason:
    """The reason behind the last line that code wrote to its error stream."""
    last = (error_text.strip().splitlines() or [""])[-1]
    return next((reason for texts, reason in _DENIALS if any(text in last for text in texts)), CodeReason.CRASHED)
