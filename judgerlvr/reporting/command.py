"""The command ``judgerlvr.report`` from run folders to a page, once or for as long as a run goes on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from judgerlvr.reporting.page import render_page
from judgerlvr.reporting.runs import Run, read_run
from judgerlvr.reporting.status import State
from judgerlvr.runs.files import write_atomically
from judgerlvr.runs.lock import seems_held
from rewards.errors import InputError


def write_report(folders: Sequence[Path], out: Path) -> None:
    """Read the run folders and write the page.

    Raises:
        InputError: a folder holds nothing to report, or the page cannot be written there.
    """
    _check(folders, out)
    write_atomically(out, render_page([read_run(folder) for folder in folders]))
    print(f"written: {out}")


def watch(folders: Sequence[Path], out: Path, every: int) -> None:
    """Write the page anew when a file of the runs changes, until no run goes on. A last page is then written.

    A folder that is not there yet, and a file that is being written, are waited for.

    Raises:
        InputError: the page cannot be written there.
    """
    _check(folders, out)
    print(f"watching every {every} s: open {out} in a browser (Ctrl-C ends the watch, not the run)", flush=True)
    seen: tuple[float, ...] = ()
    while True:
        now = _changes(folders)
        runs = _read(folders) if now != seen else []
        if runs:
            seen = now
            ended = not any(run.status.state is State.training for run in runs)
            write_atomically(out, render_page(runs, 0 if ended else every))
            print(f"written: {out} ({', '.join(f'{run.name}: {run.status}' for run in runs)})", flush=True)
            if ended:
                return
        time.sleep(every)


def _check(folders: Sequence[Path], out: Path) -> None:
    places = [folder.resolve() for folder in folders]
    if twice := next((folder for folder in folders if places.count(folder.resolve()) > 1), None):
        raise InputError("given twice, and would count as two seeds", "give each run once", file=twice)
    if out.is_dir() or not out.parent.is_dir():
        raise InputError("cannot write a page here", "give --out FILE in an existing folder", file=out)


def _changes(folders: Sequence[Path]) -> tuple[float, ...]:
    """Times of the files that the page shows, and whether each run still has a process."""
    patterns = ("*.json*", "config.yaml", "lock", "rollouts/*", "eval/*/*", "checkpoints/*/COMPLETE.json")
    files = [path for folder in folders for pattern in patterns for path in sorted(folder.glob(pattern))]
    held = [float(seems_held(folder)) for folder in folders]
    return (*held, *(path.stat().st_mtime for path in files if path.is_file()))


def _read(folders: Sequence[Path]) -> list[Run]:
    try:
        return [read_run(folder) for folder in folders]
    except InputError as error:
        print(f"waiting: {error}", flush=True)
        return []
