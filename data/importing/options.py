"""How files are read: columns with unusual names, rows that cannot be used, problems without a gold answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from data.importing.problem_rows import ROLES
from rewards.errors import InputError
from rewards.wording import counted

BadRows = Literal["stop", "drop"]


@dataclass(frozen=True)
class ReadOptions:
    """``columns`` maps a role (problem, gold, ...) to a column. ``need_gold`` is False where the verifier needs none.

    Raises:
        InputError: an unknown role or policy.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    bad_rows: BadRows = "stop"
    need_gold: bool = True

    def __post_init__(self) -> None:
        for role in self.columns:
            if role not in ROLES:
                raise InputError(f"unknown role {role!r}", f"use {', '.join(ROLES)}", field=f"data.columns.{role}")
        if self.bad_rows not in ("stop", "drop"):
            raise InputError(f"{self.bad_rows!r}", "use stop or drop", field="data.bad_rows")


@dataclass
class BadRowList:
    """Rows that cannot be used. All of them are named at once."""

    faults: list[InputError] = field(default_factory=list)

    def add(self, fault: InputError) -> None:
        self.faults.append(fault)

    def raise_all(self) -> None:
        """Raise one error for all rows, if there is one. A single row keeps its own error."""
        if len(self.faults) == 1:
            raise self.faults[0]
        if self.faults:
            first = self.faults[0]
            problem = f"{counted(len(self.faults), 'row')} cannot be used: {self.describe()}"
            raise InputError(problem, f"{first.remedy}, or set data.bad_rows=drop", file=first.file)

    def describe(self) -> str:
        """All rows on one line, rows with one fault together."""
        groups: dict[tuple[str, str], list[str]] = {}
        several = len({str(fault.file) for fault in self.faults}) > 1
        for fault in self.faults:
            place = f"{Path(fault.file or '').name}:{fault.row}" if several else str(fault.row)
            groups.setdefault((fault.problem, fault.field or ""), []).append(place)
        return "; ".join(
            # A semicolon parts the groups of rows, so no group may hold a semicolon.
            f"{problem} (field {name!r}, {'rows' if len(rows) > 1 else 'row'} {', '.join(rows)})".replace("; ", ", ")
            for (problem, name), rows in groups.items()
        )
