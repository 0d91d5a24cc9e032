"""A benchmark task as plain facts, with the function that makes a problem of a row."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rewards.types import Problem
from rewards.verifier import DEFAULT_VERIFIER

Domain = Literal["in", "out"]
Row = Mapping[str, Any]
Scorer = Literal["verifier", "code", "instructions"]


def joined_hash(hashes: Sequence[str]) -> str:
    """SHA-256 of several files from the SHA-256 of each, in order. A single file keeps its own."""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


@dataclass(frozen=True)
class Source:
    """The files of a task. An empty ``revision`` or ``sha256`` is not verified, and the table says so.

    ``patterns`` choose the files of the repository. ``sha256`` is of the file's bytes. Several files have the hash of
    their hashes. ``rows`` is the row count of all files, None for a file of the user's.
    """

    repository: str
    revision: str
    patterns: tuple[str, ...]
    rows: int | None
    sha256: str = ""


@dataclass(frozen=True)
class Task:
    """One row of the table.

    ``columns`` maps the columns that are read to the types of their values. ``to_problem`` gives None for a row that
    the task leaves out. ``verifier`` counts for the scorer ``verifier`` alone. ``note`` is printed beside the task.
    """

    name: str
    title: str
    domain: Domain
    source: Source
    licence: str
    columns: Mapping[str, tuple[type, ...]]
    to_problem: Callable[[Row], Problem | None]
    prompt: str
    n: int
    gated: bool = False
    scorer: Scorer = "verifier"
    verifier: str = DEFAULT_VERIFIER
    note: str = ""
    unverified: tuple[str, ...] = field(default=())

    @property
    def missing_facts(self) -> list[str]:
        """Names of the facts that nobody here could verify."""
        found = [name for name in ("revision", "sha256") if not getattr(self.source, name)]
        return [*found, *self.unverified]


TEXT, WHOLE = (str,), (int,)
NUMBER_OR_TEXT = (str, int)
