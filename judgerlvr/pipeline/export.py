"""A finished policy's name, which is free and writable from the start, and a question to ask the policy."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from data.row_files import iter_rows
from judgerlvr.config.domains import printable
from judgerlvr.runs.folder import check_writable
from rewards.errors import InputError

# Enough for one short problem, and read in no time.
ROWS = 100


def check_link(link: Path, run_dir: Path | None) -> None:
    """Refuse a name that cannot be made or that is not this run's own; ``run_dir`` is None for a run that has none yet.

    Raises:
        InputError: ``link`` exists and is a file, a directory or a link into another run, or no link can be made there.
    """
    if not printable(str(link)):
        raise InputError("holds control characters", "give another --out", field="--out")
    if not link.is_symlink() and not link.exists():
        check_writable(link.absolute().parent, "give another --out")
        return
    # A link of the run itself is moved along, a link of another run is never taken.
    if run_dir and link.is_symlink() and run_dir.resolve() in Path(os.path.realpath(link)).parents:
        check_writable(link.absolute().parent, "give another --out")
        return
    raise InputError("exists and is not this run's export", "give another --out, or move the folder away", file=link)


def check_outside(link: Path, folder: Path) -> None:
    """Raise an InputError for a name of the policy that is the run's folder, lies in that folder, or is to hold it."""
    at, run = link.absolute(), folder.absolute()
    if at == run or at in run.parents or run in at.parents:
        raise InputError(f"is where the run itself lies ({folder})", "give another --out", file=link)


def publish(link: Path, export: Path, run_dir: Path) -> None:
    """Point ``link`` at ``export`` in one step: a reader sees the old target or the new one.

    The name is checked again: hours may have passed since the start.

    Raises:
        InputError: as ``check_link``.
    """
    check_link(link, run_dir)
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    # A relative link survives moving the folder that holds both ends.
    temporary.symlink_to(os.path.relpath(export.resolve(), link.parent.resolve()))
    temporary.replace(link)


def shortest_shown(train: Path) -> dict[str, str]:
    """Problem and response of the shortest problem among the first rows of verl's training file."""
    rows = [located.row["extra_info"] for located in islice(iter_rows(train), ROWS)]
    row = min(rows, key=lambda row: len(row["problem"]))
    return {name: row[name] for name in ("problem", "response") if name in row}
