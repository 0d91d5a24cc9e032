"""A fault of one row, before the place of the row is known."""

from __future__ import annotations

from pathlib import Path

from rewards.errors import InputError


class RowFault(Exception):
    """What is wrong with a row, how to mend the row, and the column."""

    def __init__(self, problem: str, remedy: str, field: str) -> None:
        super().__init__(problem)
        self.problem, self.remedy, self.field = problem, remedy, field

    def at(self, file: Path, row: int) -> InputError:
        """The error that names the place."""
        return InputError(self.problem, self.remedy, file=file, row=row, field=self.field)
