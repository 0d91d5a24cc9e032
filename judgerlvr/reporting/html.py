"""Escaping and the few HTML shapes that the report is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

NOT_RUN = "not run"


class Markup(str):
    """Text that is HTML already; everything else is escaped on its way into the page."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Escape, unless it is markup already."""
    return value if isinstance(value, Markup) else Markup(escape(str(value)))


def table(head: Sequence[object], rows: Sequence[Sequence[object]], note: str = "") -> Markup:
    """A table whose first column names the row; "" without rows."""
    if not rows:
        return Markup("")
    top = "".join(f"<th>{text(cell)}</th>" for cell in head)
    body = "".join(_row(row) for row in rows)
    below = f"<p class='note'>{text(note)}</p>" if note else ""
    return Markup(f"<div class='wide'><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>{below}")


def _row(row: Sequence[object]) -> str:
    first, *others = (text(cell) for cell in row)
    return f"<tr><th>{first}</th>{''.join(_cell(cell) for cell in others)}</tr>"


def _cell(cell: str) -> str:
    return f"<td class='absent'>{cell}</td>" if cell == NOT_RUN else f"<td>{cell}</td>"


def section(title: str, *parts: str) -> Markup:
    """A headed section; a section with nothing in it says that it was not run."""
    body = "".join(parts)
    return Markup(f"<section><h2>{text(title)}</h2>{body or f'<p class=absent>{NOT_RUN}</p>'}</section>")


def estimate(value: Mapping[str, float | None] | None, digits: int = 3, scale: float = 1.0) -> Markup | str:
    """A value over its interval."""
    if value is None or value["value"] is None:
        return NOT_RUN
    number = f"{value['value'] * scale:.{digits}f}"
    if value["low"] is None or value["high"] is None:
        return number
    return Markup(f"{number} <small>[{value['low'] * scale:.{digits}f}, {value['high'] * scale:.{digits}f}]</small>")


def number(value: float | None, digits: int = 3) -> str:
    """A plain number, or that it was not run."""
    return NOT_RUN if value is None else f"{value:.{digits}f}"


def count(value: int | None) -> str:
    """A whole number with thousands apart, or that it was not run."""
    return NOT_RUN if value is None else f"{value:,}"
