"""The command ``judgerlvr.report`` from run folders to a page, once or for as long as a run goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from judgerlvr.evaluation.outputs import SUMMARY
from judgerlvr.reporting.page import render_page
from judgerlvr.reporting.planned import PlanOf, no_plan
from judgerlvr.reporting.runs import Run, read_run, refuse_copies
from judgerlvr.reporting.status import State
from judgerlvr.runs.files import write_atomically
from judgerlvr.runs.lock import seems_held
from judgerlvr.runs.manifest import MANIFEST
from judgerlvr.runs.metrics import METRICS
from rewards.errors import InputError

Times = tuple[float, ...]


def write_report(folders: Sequence[Path], out: Path, plan_of: PlanOf = no_plan) -> None:
    """Read the run folders and write the page. ``plan_of`` names the arms of planned runs.

    Raises:
        InputError: a folder holds nothing to report, or the page cannot be written there.
    """
    _check(folders, out)
    runs = [_read(folder, plan_of) for folder in folders]
    refuse_copies(runs)
    write_atomically(out, render_page(runs))
    print(f"written: {out}")


def _read(folder: Path, plan_of: PlanOf) -> Run:
    return replace(read_run(folder), planned=plan_of(folder))


def watch(find: Callable[[], Sequence[Path]], out: Path, every: int, plan_of: PlanOf = no_plan) -> None:
    """Write the page anew when a file of the runs changes, until no run goes on. A last page is then written.

    ``find`` gives the folders of the runs, those that have not begun too. A folder that is not there yet, and a file
    that is being written, are waited for.

    Raises:
        InputError: the page cannot be written there.
    """
    _check(find(), out)
    print(f"watching every {every} s: open {out} in a browser (Ctrl-C ends the watch, not the run)", flush=True)
    seen = Times()
    while True:
        now, runs, later = _look(find, seen, plan_of)
        if runs:
            seen, over = now, _is_over(runs, later)
            write_atomically(out, render_page(runs, 0 if over else every))
            told = [f"{run.name}: {run.status}" for run in runs] + [f"{name}: not begun" for name in later]
            print(f"written: {out} ({', '.join(told)})", flush=True)
            if over:
                return
        time.sleep(every)


def _look(find: Callable[[], Sequence[Path]], seen: Times, plan_of: PlanOf) -> tuple[Times, list[Run], list[str]]:
    """(times of the files, runs that have begun, names of the others).

    No run where nothing has changed since ``seen``, and where a file cannot be read yet.
    """
    try:
        folders = find()
        now, shown = _changes(folders), begun(folders)
        runs = [_read(folder, plan_of) for folder in shown] if now != seen else []
        return now, runs, [folder.name for folder in folders if folder not in shown]
    except InputError as error:
        print(f"waiting: {error}", flush=True)
        return seen, [], []


def begun(folders: Sequence[Path]) -> list[Path]:
    """The folders that hold something to report. All of them where none does, so that the reader says what is wrong."""
    return [folder for folder in folders if _has_begun(folder)] or list(folders)


def _has_begun(folder: Path) -> bool:
    return any((folder / name).exists() for name in (MANIFEST, METRICS, SUMMARY, "eval"))


def _is_over(runs: Sequence[Run], later: Sequence[str]) -> bool:
    """Whether no run goes on, and no run is to come. Nothing comes behind a run that ended early."""
    states = {run.status.state for run in runs}
    return State.training not in states and (not later or bool(states & {State.failed, State.stopped}))


def _check(folders: Sequence[Path], out: Path) -> None:
    places = [folder.resolve() for folder in folders]
    if twice := next((folder for folder in folders if places.count(folder.resolve()) > 1), None):
        raise InputError("given twice, and would count as two seeds", "give each run once", file=twice)
    if out.is_dir() or not out.parent.is_dir():
        raise InputError("cannot write a page here", "give --out FILE in an existing folder", file=out)


def _changes(folders: Sequence[Path]) -> Times:
    """Times of the files that the page shows, and whether each run still has a process."""
    patterns = ("*.json*", "config.yaml", "lock", "rollouts/*", "eval/*/*", "checkpoints/*/COMPLETE.json")
    files = [path for folder in folders for pattern in patterns for path in sorted(folder.glob(pattern))]
    held = [float(seems_held(folder)) for folder in folders]
    return (*held, *(path.stat().st_mtime for path in files if path.is_file()))
