"""The shapes that the page is made of, as plain data. The templates turn the shapes into HTML and escape all text."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from markupsafe import Markup

from judgerlvr.evaluation.metrics import Estimate

NOT_RUN = "not run"
# Right and wrong are for answers alone. A fault is of a run or of a number.
Tone = Literal["", "absent", "right", "wrong", "fault"]


@dataclass(frozen=True)
class Cell:
    """One cell of a table, with a smaller second line."""

    text: str
    detail: str = ""
    tone: Tone = ""


ABSENT = Cell(NOT_RUN, tone="absent")


@dataclass(frozen=True)
class Table:
    """A captioned table. The first cell of each row names the row."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Figure:
    """A drawn figure. ``summary`` tells in words what a reader who does not see the figure needs."""

    title: str
    svg: Markup
    caption: str
    summary: str
    kind: ClassVar[str] = "figure"


@dataclass(frozen=True)
class Note:
    """A paragraph. A stamp is a paragraph that must not be overlooked."""

    text: str
    stamp: bool = False
    kind: ClassVar[str] = "note"


@dataclass(frozen=True)
class Column:
    """One response beside others to the same prompt."""

    name: str
    verdict: Cell
    response: str


@dataclass(frozen=True)
class Example:
    """One prompt and the responses to the prompt."""

    title: str
    prompt: str
    columns: Sequence[Column]
    kind: ClassVar[str] = "example"


@dataclass(frozen=True)
class Tool:
    """A part that the page's script fills: ``browser`` or ``changes``."""

    name: str
    kind: ClassVar[str] = "tool"


Part = Table | Figure | Note | Example | Tool


@dataclass(frozen=True)
class Group:
    """Parts under a heading of the third level."""

    title: str
    parts: Sequence[Part]
    kind: ClassVar[str] = "group"

    @property
    def anchor(self) -> str:
        return anchor(self.title)


@dataclass(frozen=True)
class Section:
    """Parts under a heading of the second level. A section without parts says that it was not run."""

    title: str
    parts: Sequence[Part | Group]

    @property
    def anchor(self) -> str:
        return anchor(self.title)


def anchor(title: str) -> str:
    """The title as the end of a link: lower case, words joined by hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def number(value: float | None, digits: int = 3) -> Cell:
    """A number as a cell. A value that is not finite is shown as such."""
    if value is None:
        return ABSENT
    return Cell(f"{value:.{digits}f}") if math.isfinite(value) else Cell(str(value), tone="fault")


def count(value: int | None) -> Cell:
    """A whole number with thousands apart."""
    return ABSENT if value is None else Cell(f"{value:,}")


def interval(estimate: Estimate | None, digits: int = 3) -> Cell:
    """A value over its interval."""
    if estimate is None or math.isnan(estimate.value):
        return ABSENT
    ends = f"[{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"
    return Cell(f"{estimate.value:.{digits}f}", "" if math.isnan(estimate.low) else ends)


def short_hash(value: object) -> str:
    """Hashes cut to twelve digits. Other values stay whole."""
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{28,}\b", r"\1", str(value))
