"""Whether a place of a text lies inside a formula, in a text where a dollar sign may also be a currency."""

from __future__ import annotations

import re

_MARK = re.compile(r"\\[\\$()\[\]]|\$\$?")
# A line break such as "\\[2pt]" and an escaped dollar sign open nothing.
_PRINTED = (r"\\", r"\$")
_BLANK_LINE = re.compile(r"\n[ \t\r]+\n")
_PRICE = re.compile(r"\$ ?\d|(?<=\d)\$(?=[\s.,;:!?)]|\Z)")
# A dollar sign after white space, a bracket or a mark of emphasis, or before a digit, opens and does not close.
_CLOSING = re.compile(r"(?:(?<=[^\s(\[*])\$|(?<=\s)\$(?=[\s.,;:!?)]|\Z))(?!\d)")


def inside_formula(text: str, place: int) -> bool:
    """Whether a formula of the paragraph is open at ``place``.

    A dollar sign of a price (``$18``, ``18$``) opens a formula only if the formula is closed on the same line.
    """
    return _open_at(text, place)[0] != ""


def formula_around(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Where the formula that holds ``text[start:end]`` begins and ends without its marks, or None outside of formulas.

    A formula that is never closed ends with its paragraph.
    """
    opener, begin = _open_at(text, start)
    if not opener:
        return None
    limit = text.find("\n\n", end)
    limit = len(text) if limit < 0 else limit
    closer = {r"\(": r"\)", r"\[": r"\]"}.get(opener, opener)
    # A mark that does not belong to the opening one ends the formula as well, so that no text is swallowed.
    closing = (mark for mark in _MARK.finditer(text, end, limit) if mark[0] not in _PRINTED)
    return begin, next((mark.start() for mark in closing if mark[0] == closer or mark[0] in ("$", "$$")), limit)


def _open_at(text: str, place: int) -> tuple[str, int]:
    """The mark whose formula is open at ``place`` and where that formula begins; an empty mark outside of formulas."""
    opener, begin = "", 0
    line_end = text.find("\n", place)
    found = _MARK.finditer(text, paragraph(text, place), len(text) if line_end < 0 else line_end)
    marks = [mark for mark in found if mark[0] not in _PRINTED]
    for at, mark in enumerate(marks):
        if mark.start() >= place:
            break
        before, opener = opener, _after(opener, mark[0], text, marks[at : at + 2])
        begin = mark.end() if opener != before else begin
    return opener, begin


def paragraph(text: str, place: int) -> int:
    """Where the paragraph of ``place`` begins."""
    start = text.rfind("\n\n", 0, place) + 1
    return max((blank.end() for blank in _BLANK_LINE.finditer(text, start, place)), default=start)


def _after(opener: str, mark: str, text: str, marks: list[re.Match[str]]) -> str:
    """The mark whose formula is open after ``mark``, or nothing."""
    if mark in (r"\(", r"\["):
        return mark
    if mark in (r"\)", r"\]"):
        return opener if opener == "$" else ""
    # Two signs side by side may close one formula and open the next.
    if opener.startswith("\\") or (opener and opener != mark):
        return opener
    return "" if opener or (mark == "$" and _is_currency(text, marks)) else mark


def _is_currency(text: str, marks: list[re.Match[str]]) -> bool:
    """Whether the first mark, a dollar sign outside of formulas, is part of a price."""
    if not _PRICE.match(text, marks[0].start()):
        return False
    if len(marks) < 2 or "\n" in text[marks[0].end() : marks[1].start()]:
        return True
    return not _CLOSING.match(text, marks[1].start())
