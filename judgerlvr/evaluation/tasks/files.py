"""The rows of a task: from a file of the user's or from the hub, checked against the facts of the task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.hashing import file_sha256
from data.importing.containers import Located, iter_file
from data.importing.sources import files_of
from judgerlvr.evaluation.tasks.task import Source, Task, joined_hash
from judgerlvr.models.hub import snapshot
from rewards.errors import InputError, one_line
from rewards.types import Problem
from rewards.wording import counted

REMEDY = "take that revision, or enter the file in the suite as a set of your own ({name: NAME, file: PATH})"


class NoAccess(Exception):
    """The data cannot be had here. The message is one line, and the table shows the task as not run."""


@dataclass(frozen=True)
class TaskData:
    """Problems of a task with the identity of their files. ``revision`` is empty for a file of the user's."""

    problems: list[Problem]
    rows: int
    sha256: str
    revision: str
    repeated: int


def load_task(task: Task, local: Path | None = None, sha256: str = "") -> TaskData:
    """The problems of a task. ``sha256`` is a hash that the user pins.

    Raises:
        InputError: another revision: hash, row count, column or type differ.
        NoAccess: the hub cannot be reached, or access is not granted.
    """
    files, revision = (files_of(local), "") if local else _from_hub(task)
    digest = files_hash(files)
    place = local or Path(task.source.repository)
    for wanted in filter(None, (task.source.sha256, sha256)):
        if digest != wanted:
            raise _other(task, f"SHA-256 is {digest[:12]}..., not {wanted[:12]}...", place)
    rows = [row for file in files for row in iter_file(file)]
    if task.source.rows is not None and len(rows) != task.source.rows:
        raise _other(task, f"{counted(len(rows), 'row')}, not {task.source.rows}", place)
    for row in rows:
        _check_columns(task, row)
    problems = [problem for row in rows if (problem := _problem(task, row)) is not None]
    once = {problem.id: problem for problem in reversed(problems)}
    kept = [problem for problem in problems if once[problem.id] is problem]
    if not kept:
        raise _other(task, "no row is a question to ask", place)
    return TaskData(kept, len(rows), digest, revision, len(problems) - len(kept))


def files_hash(files: Sequence[Path]) -> str:
    """SHA-256 of a file. Several files have the SHA-256 of their hashes in order."""
    return joined_hash([file_sha256(file) for file in files])


def _other(task: Task, what: str, place: Path, row: int | None = None, field: str | None = None) -> InputError:
    named = f"{task.source.repository}@{task.source.revision[:12] or 'unpinned'}"
    return InputError(f"not {task.title} as {named} has it: {what}", REMEDY, place, row, field)


def _check_columns(task: Task, located: Located) -> None:
    for name, types in task.columns.items():
        value = located.row.get(name)
        if isinstance(value, types) and not (isinstance(value, bool) and bool not in types):
            continue
        what = "missing" if name not in located.row else f"is {type(value).__name__}"
        kinds = " or ".join(kind.__name__ for kind in types)
        raise _other(task, f"{what}, where {kinds} is wanted", located.file, located.number, name)


def _problem(task: Task, located: Located) -> Problem | None:
    try:
        return task.to_problem(located.row)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        what = f"not a row of it ({type(error).__name__}: {one_line(error)})"
        raise _other(task, what, located.file, located.number) from error


def _from_hub(task: Task) -> tuple[list[Path], str]:
    """The files of a task in the hub's cache, and the commit that they are of."""
    source = task.source
    wanted: dict[str, Any] = {"repo_type": "dataset", "allow_patterns": list(source.patterns)}
    try:
        folder = snapshot(source.repository, _remedy(task), revision=source.revision or None, **wanted)
    except InputError as error:
        raise NoAccess(str(error)) from error
    return _chosen(folder, source), folder.name


def _chosen(folder: Path, source: Source) -> list[Path]:
    files = sorted({path for pattern in source.patterns for path in folder.rglob(pattern)})
    if not files:
        raise NoAccess(f"{source.repository} has no file {', '.join(source.patterns)}")
    return files


def _remedy(task: Task) -> str:
    gate = " (gated: accept its terms first)" if task.gated else ""
    return f"download it{gate}, or name a file of yours in the suite ({{task: {task.name}, file: PATH}})"
