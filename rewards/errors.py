"""The one error a user can cause, and what it must say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass
class InputError(Exception):
    """Bad input: names file, row, field and remedy; entry points print it as one line and exit with 2.

    ``row`` counts from 1 as a person does (header lines are not rows); fields that make no sense for the
    error stay None.
    """

    problem: str
    remedy: str
    file: str | Path | None = None
    row: int | None = None
    field: str | None = None

    def __str__(self) -> str:
        places = [str(self.file)] if self.file is not None else []
        places += [f"row {self.row}"] if self.row is not None else []
        places += [f"field {self.field!r}"] if self.field is not None else []
        where = ", ".join(places)
        return f"{where + ': ' if where else ''}{self.problem}; {self.remedy}"
