"""Texts that are no Unicode: JSON may escape half of a surrogate pair, which no file and no tokenizer takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from data.importing.faults import RowFault

_HALF = re.compile(r"[\ud800-\udfff]")


def refuse_half_pairs(row: Mapping[str, Any]) -> None:
    """Raises RowFault for a column whose text, at any depth, holds half of a surrogate pair."""
    for name, value in row.items():
        if not _is_whole(value):
            problem = "holds half of a surrogate pair, which is no character"
            raise RowFault(problem, "write the whole character", name if _is_whole(name) else "")


def _is_whole(value: Any) -> bool:
    if isinstance(value, str):
        return value.isascii() or _HALF.search(value) is None
    if isinstance(value, Mapping):
        return all(_is_whole(part) for pair in value.items() for part in pair)
    return all(map(_is_whole, value)) if isinstance(value, list | tuple) else True
