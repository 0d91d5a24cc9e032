"""Rows in lists that end at a count, or at a size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Row = TypeVar("Row")


def bounded(rows: Iterable[Row], size: Callable[[Row], int], most: int, most_size: int) -> Iterator[list[Row]]:
    """Lists of ``most`` rows, or of fewer rows whose sizes first reach ``most_size`` together."""
    group, total = list[Row](), 0
    for row in rows:
        group.append(row)
        total += size(row)
        if len(group) == most or total >= most_size:
            yield group
            group, total = [], 0
    if group:
        yield group
