"""Turns of runs that share a machine: each asks before a step, and one is granted at a time.

A run asks again once its step is over, weights included. The files of a folder carry questions and grants.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

# Variables of the environment, which reach the trainer's process.
FOLDER, NAME, PROMPTS, RUN = "LONG_RL_TURNS", "LONG_RL_NAME", "LONG_RL_PROMPTS", "LONG_RL_RUN"
POLL = 0.02  # seconds
STOP = "stop"


@dataclass(frozen=True)
class Turn:
    """The side of a run."""

    folder: Path
    name: str

    def take(self) -> None:
        """Ask and wait for the grant. Raises RuntimeError once the time of all runs is over."""
        asked = number_in(self.folder / f"{self.name}.asked") + 1
        write(self.folder / f"{self.name}.asked", asked)
        while number_in(self.folder / f"{self.name}.granted") < asked:
            if (self.folder / STOP).exists():
                raise RuntimeError("the time of the benchmark is over")
            time.sleep(POLL)


@dataclass
class Arbiter:
    """The side that grants. The first grant waits until all runs have asked."""

    folder: Path
    names: list[str]
    holder: str = ""
    granted: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Forget what an earlier call left."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in (*self.folder.glob("*.asked"), *self.folder.glob("*.granted"), self.folder / STOP):
            path.unlink(missing_ok=True)
        self.granted = dict.fromkeys(self.names, 0)

    def grant(self, alive: list[str]) -> str:
        """Grant a turn if none is held, to the run of ``alive`` with the fewest turns. Returns its name, or "".

        A run that has ended gives its turn back.
        """
        waiting = {name: number_in(self.folder / f"{name}.asked") > self.granted[name] for name in alive}
        started = all(waiting[name] or self.granted[name] for name in alive)
        busy = self.holder in alive and not waiting[self.holder]
        asking = [name for name in alive if waiting[name]]
        if busy or not started or not asking:
            return ""
        self.holder = min(asking, key=lambda name: self.granted[name])
        self.granted[self.holder] += 1
        write(self.folder / f"{self.holder}.granted", self.granted[self.holder])
        return self.holder

    def stop(self) -> None:
        (self.folder / STOP).touch()


def number_in(path: Path) -> int:
    """The number in a file, 0 without one or while the file is written."""
    text = path.read_text() if path.is_file() else ""
    return int(text) if text.endswith("\n") else 0


def write(path: Path, number: int) -> None:
    path.write_text(f"{number}\n")
