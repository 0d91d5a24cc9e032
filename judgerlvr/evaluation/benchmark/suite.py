"""A suite: which tasks run, with what file, prompt and number of samples."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data.importing.options import ReadOptions
from data.problems import read_problem_set
from data.prompts import GENERATE_FIELDS, load_template
from judgerlvr.config.documents import load_yaml
from judgerlvr.config.load import resolve_path
from judgerlvr.evaluation.tasks import TASKS
from judgerlvr.evaluation.tasks.files import TaskData, files_hash, load_task
from judgerlvr.evaluation.tasks.prompts import MATHS
from judgerlvr.evaluation.tasks.task import Source, Task
from rewards.errors import InputError, reading
from rewards.verifier import DEFAULT_VERIFIER, load_verifier

OF_TASK = ("task", "file", "sha256", "n", "prompt")
OF_FILE = ("name", "file", "n", "prompt", "domain", "verifier")
# A name is also the name of a folder of samples.
NAME = re.compile(r"\w[\w .+-]{0,59}")


@dataclass(frozen=True)
class Entry:
    """A task of the suite. ``file`` is a file of the user's, and ``own`` marks a set that is no task of ours."""

    task: Task
    file: Path | None = None
    sha256: str = ""
    own: bool = False

    def load(self) -> TaskData:
        """The problems. Raises as ``load_task``."""
        if not self.own or self.file is None:
            return load_task(self.task, self.file, self.sha256)
        needs_gold = load_verifier(self.task.verifier).needs_gold
        found = read_problem_set(self.file, ReadOptions(need_gold=needs_gold))
        digest = files_hash([self.file]) if self.file.is_file() else ""
        return TaskData(found.problems, found.rows, digest, "", len(found.repeated))


def read_suite(path: Path) -> list[Entry]:
    """The entries of a suite file in order.

    Raises:
        InputError: the file is no suite, a task or key is unknown, or two entries have one name.
    """
    with reading("not a suite", "write a YAML file with a list `tasks`", file=path):
        content = load_yaml(path.read_text(encoding="utf-8"))
        listed = content["tasks"]
        if not isinstance(listed, list) or not listed:
            raise TypeError("tasks is no list of entries")
    entries = [_entry(value, path, row) for row, value in enumerate(listed, start=1)]
    names = [entry.task.name for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two entries are called {name!r}", "give one of them another name", file=path)
    return entries


def _entry(value: Any, path: Path, row: int) -> Entry:
    value = {"task": value} if isinstance(value, str) else value
    if not isinstance(value, Mapping) or ("task" in value) == ("name" in value):
        raise InputError("no entry of a suite", "write a task's name, or {name: ..., file: ...}", file=path, row=row)
    allowed = OF_TASK if "task" in value else OF_FILE
    for key in value:
        if key not in allowed:
            raise InputError(f"unknown key {key!r}", f"use {', '.join(allowed)}", file=path, row=row)
        if key != "n" and (not isinstance(value[key], str) or not value[key].strip()):
            raise InputError(f"{key} is {value[key]!r}", "give a text", file=path, row=row, field=key)
    try:
        return _of_task(value) if "task" in value else _of_file(value)
    except InputError as error:
        raise replace(error, file=error.file or path, row=error.row or row) from error


def _of_task(value: Mapping[str, Any]) -> Entry:
    name = value["task"]
    if name not in TASKS:
        raise InputError(f"no task is called {name!r}", f"use one of {', '.join(TASKS)}", field="task")
    file = resolve_path(Path(value["file"])) if "file" in value else None
    return Entry(_changed(TASKS[name], value), file, value.get("sha256", ""))


def _of_file(value: Mapping[str, Any]) -> Entry:
    if not NAME.fullmatch(value["name"]):
        remedy = "use at most 60 letters, digits, blanks and _ . + -, and begin with a letter or digit"
        raise InputError(f"a set cannot be called {value['name']!r}", remedy, field="name")
    if "file" not in value:
        raise InputError("a set without a file", "add file: PATH", field="file")
    domain = value.get("domain", "in")
    if domain not in ("in", "out"):
        raise InputError(f"domain is {domain!r}", "use in or out", field="domain")
    file = resolve_path(Path(value["file"]))
    task = Task(
        name=value["name"],
        title=value["name"],
        domain=domain,
        source=Source(value["file"], "", (), None),
        licence="not asked",
        columns={},
        to_problem=lambda row: None,
        prompt=MATHS,
        n=4,
        verifier=value.get("verifier", DEFAULT_VERIFIER),
    )
    return Entry(_changed(task, value), file, own=True)


def _changed(task: Task, value: Mapping[str, Any]) -> Task:
    """The task with the suite's own n and prompt."""
    n = value.get("n", task.n)
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise InputError(f"n is {n!r}", "give a whole number of at least 1", field="n")
    prompt = load_template(resolve_path(Path(value["prompt"])), GENERATE_FIELDS) if "prompt" in value else task.prompt
    return replace(task, n=n, prompt=prompt)
