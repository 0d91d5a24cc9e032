"""Restarts of an experiment's commands. A command goes on from its folder, so a restart is the same call."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from judgerlvr.experiments.commands import Call, CommandEnded
from judgerlvr.runs.checkpoints import complete
from judgerlvr.runs.folder import read_failure
from judgerlvr.runs.stage import CHECKPOINTS, STOP
from rewards.errors import BAD_INPUT
from rewards.wording import counted

# A cluster takes seconds to free the processes and cards of a dead stage, and a lost node minutes to come back.
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 160.0
# Exit codes of a command that a person or a scheduler has ended.
ASKED = {code for number in (signal.SIGINT, signal.SIGTERM) for code in (-number, 128 + number)}


class Restarts:
    """A call that is made again after a failure, ``most`` times in all, with a pause that doubles.

    Three ends are final: an end that was asked for, bad input of a first start, and the same cause twice
    without a checkpoint in between. Bad input after a failure may be a node that has not come back yet.
    """

    def __init__(self, call: Call, most: int) -> None:
        self.call, self.most, self.made = call, most, 0
        self.lock = threading.Lock()

    def __call__(self, module: str, *arguments: object, **shown: object) -> None:
        run, ends = run_folder(arguments), list[tuple[str, str]]()
        while True:
            try:
                self.call(module, *arguments, **shown)
                return
            except CommandEnded as ended:
                ends.append((reason(ended, run), newest(run)))
                if not self._goes_on(module, ended, run, ends):
                    raise

    def _goes_on(self, module: str, ended: CommandEnded, run: Path | None, ends: Sequence[tuple[str, str]]) -> bool:
        """Say how the command ended and what follows. Waits before a restart."""
        cause, seal = ends[-1]
        final = final_because(ended, run, ends)
        with self.lock:
            if not final and self.made < self.most:
                self.made += 1
            elif not final and self.most:
                final = f"{counted(self.most, 'restart')} used, and no more allowed"
            number = self.made
        if final or not self.most:
            if self.most:
                print(f"{module} ended ({cause}, {seal}); not restarted: {final}", flush=True)
            return False
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (len(ends) - 1))
        print(f"{module} ended ({cause}, {seal}); restart {number} of {self.most} in {pause:.0f} s", flush=True)
        time.sleep(pause)
        return True


def final_because(ended: CommandEnded, run: Path | None, ends: Sequence[tuple[str, str]]) -> str:
    """Why the same command again would be wrong or useless. Empty where the command may be given again."""
    if ended.returned in ASKED or (run and (run / STOP).exists()):
        return "the end was asked for"
    if ended.returned == BAD_INPUT and len(ends) == 1:
        return "the input is at fault"
    # A command that is killed says nothing of itself, so only a cause of its own can repeat.
    if 0 < ended.returned != BAD_INPUT and list(ends).count(ends[-1]) > 1:
        return "the same cause came twice without a checkpoint in between"
    return ""


def reason(ended: CommandEnded, run: Path | None) -> str:
    """How a command ended: the signal, else the cause in the run's folder, else the exit code."""
    if ended.returned < 0:
        return f"killed by {signal.Signals(-ended.returned).name}"
    if ended.returned == BAD_INPUT:
        return f"exit code {BAD_INPUT}, the fault stands above"
    failure = read_failure(run) if run else None
    return failure or f"exit code {ended.returned}"


def newest(run: Path | None) -> str:
    """The newest sealed checkpoint of a run, as a text."""
    sealed = complete(run / CHECKPOINTS) if run else []
    return f"sealed up to {sealed[-1].name}" if sealed else "nothing sealed"


def run_folder(arguments: Sequence[object]) -> Path | None:
    """The run folder of a stage's command line. None for other commands."""
    given = dict(word.split("=", 1) for word in map(str, arguments) if word.startswith(("runs=", "name=")))
    return Path(given["runs"]) / given["name"] if len(given) == 2 else None
