"""Grading of ZebraLogic: the grid that a response gives in JSON against the whole solution."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rewards.types import Problem, Reason, Result
from rewards.verifier import verifier

HOUSE = "house"
_DECODER = json.JSONDecoder()
_KEY = '"solution"'


@verifier(reads="response", needs_gold=False)
def verify(problem: Problem, response: str) -> Result:
    """1 if every cell of every house is right. ``meta["solution"]`` holds ``header`` and ``rows``."""
    grid = last_grid(response)
    if grid is None:
        return Result(0.0, Reason.NO_FINAL_ANSWER if _KEY not in response else Reason.UNPARSABLE)
    cells = [_cell(grid, house, name) == _folded(value) for house, name, value in wanted(problem.meta["solution"])]
    right = all(cells)
    parts = {"cells": sum(cells) / len(cells)}
    return Result(float(right), Reason.CORRECT if right else Reason.WRONG, parts)


def wanted(solution: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(house, attribute, value) of every cell of a solution. The first column counts the houses."""
    header = [str(name) for name in solution["header"]]
    return [
        (str(row[0]), name, str(value))
        for row in solution["rows"]
        for name, value in zip(header[1:], row[1:], strict=True)
    ]


def last_grid(response: str) -> Mapping[str, Any] | None:
    """The value of ``solution`` in the last JSON object that has this key."""
    end = len(response)
    while (key := response.rfind(_KEY, 0, end)) >= 0:
        start = response.rfind("{", 0, key)
        found = _object_at(response, start) if start >= 0 else None
        if found is not None and isinstance(found.get("solution"), Mapping):
            grid: Mapping[str, Any] = found["solution"]
            return grid
        end = key
    return None


def _object_at(text: str, start: int) -> Mapping[str, Any] | None:
    """The JSON object that opens at ``start`` or, where another key comes first, at the brace before it."""
    for _ in range(2):
        if start < 0:
            return None
        try:
            found, _end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            # A response may nest too deeply, or hold a number of too many digits.
            found = None
        if isinstance(found, Mapping) and "solution" in found:
            return found
        start = text.rfind("{", 0, start)
    return None


def _cell(grid: Mapping[str, Any], house: str, name: str) -> str | None:
    """The value that a grid gives to an attribute of a house, None where the grid has no such cell."""
    row = _at(grid, f"{HOUSE} {house}") or _at(grid, house)
    value = _at(row, name) if isinstance(row, Mapping) else None
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    return None if value is None or isinstance(value, Mapping | list) else _folded(str(value))


def _at(grid: Mapping[str, Any], name: str) -> Any:
    return next((value for key, value in grid.items() if _folded(str(key)) == _folded(name)), None)


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()
