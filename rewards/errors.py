"""The errors that end a command with one line, and the exit code of each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

BAD_INPUT = 2
FAILED = 1


class CommandFailed(Exception):
    """A run that began well and ended badly. The message is the cause in one line; the exit code is 1."""


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


def exit_code(run: Callable[[], None]) -> int:
    """Run a command, print an error that people can act on as one line, and return the exit code."""
    try:
        run()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except CommandFailed as error:
        print(f"failed: {error}", file=sys.stderr)
        return FAILED
    return 0
