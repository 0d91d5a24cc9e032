r"""A lossless tokenizer: joining the tokens of a text gives the text back."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

Kind = Literal["command", "number", "letters", "space", "sign"]

_TOKEN = re.compile(
    r"(?P<command>\\q?quad(?=[a-z])|\\[A-Za-z]+|\\.|\\$)"
    r"|(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))"
    r"|(?P<letters>[^\W\d_]+)"
    r"|(?P<space>\s+|~)"
    r"|(?P<sign>.)",
    re.DOTALL,
)


class Token(NamedTuple):
    """One piece of a text. ``text`` is the piece exactly as written."""

    kind: Kind
    text: str


def tokenize(text: str) -> list[Token]:
    """Cut ``text`` into commands, numerals, letter runs, spaces and single signs; nothing is lost."""
    return [Token(match.lastgroup, match.group()) for match in _TOKEN.finditer(text)]  # type: ignore[arg-type]
