r"""Finding ``\boxed{...}`` in text, in one pass and without regular expressions over its content."""

from __future__ import annotations

import re
from dataclasses import dataclass

_COMMAND = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])")
_BRACE_OR_ESCAPE = re.compile(r"\\.|[{}]", re.DOTALL)


@dataclass(frozen=True)
class Box:
    """One outermost box: ``content`` is None when its braces never close. ``start`` and ``end`` index the text."""

    content: str | None
    start: int
    end: int


def outer_boxes(text: str, *, forgiving: bool = False) -> list[Box]:
    r"""All outermost boxes from left to right; an unterminated one is the last, since it swallows the rest.

    ``forgiving`` lets a ``\}`` without its ``\{`` close a box that nothing else closes.
    """
    boxes: list[Box] = []
    position = 0
    while (command := _COMMAND.search(text, position)) is not None:
        box = _box_at(text, command, forgiving)
        boxes.append(box)
        if box.content is None:
            break
        position = box.end
    return boxes


def _box_at(text: str, command: re.Match[str], forgiving: bool) -> Box:
    opening = command.end()
    while opening < len(text) and text[opening].isspace():
        opening += 1
    closing = closing_brace(text, opening)
    if closing is not None:
        return Box(text[opening + 1 : closing], command.start(), closing + 1)
    escaped = text.find(r"\}", opening) if forgiving and text.startswith("{", opening) else -1
    if escaped < 0 or r"\{" in text[opening:escaped]:
        return Box(None, command.start(), len(text))
    return Box(text[opening + 1 : escaped], command.start(), escaped + 2)


def closing_brace(text: str, opening: int) -> int | None:
    """Index of the brace that closes the one at ``opening``, or None; escaped braces do not count."""
    if not text.startswith("{", opening):
        return None
    depth = 0
    for token in _BRACE_OR_ESCAPE.finditer(text, opening):
        if token.group() == "{":
            depth += 1
        elif token.group() == "}":
            depth -= 1
            if depth == 0:
                return token.start()
    return None
