"""Texts that are no Unicode: JSON may escape half of a surrogate pair, which no file and no tokenizer takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from data.importing.faults import RowFault

# Problem and remedy.
HALF_PAIR = ("holds half of a surrogate pair, which is no character", "write the whole character")
_HALF = re.compile(r"[\ud800-\udfff]")


def refuse_half_pairs(row: Mapping[str, Any]) -> None:
    """Raises RowFault for a column whose text, at any depth, holds half of a surrogate pair."""
    for name, value in row.items():
        if not is_whole(value):
            raise RowFault(*HALF_PAIR, name if is_whole(name) else "")


def is_whole(value: Any) -> bool:
    """Whether every text in a value, at any depth, is free of half surrogate pairs."""
    if isinstance(value, str):
        return value.isascii() or _HALF.search(value) is None
    if isinstance(value, Mapping):
        return all(is_whole(part) for pair in value.items() for part in pair)
    return all(map(is_whole, value)) if isinstance(value, list | tuple) else True
