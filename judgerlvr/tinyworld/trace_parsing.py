"""Parsing of a response in this world: step lines, the thinking part, the solution part, the box."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rewards.extraction.thinking import solution_part

_LINE = re.compile(r"([a-z])=(\d+)([-+*])(\d+)=(\d+)(?: (ok|bad))?")
_LAST_BOX = re.compile(r"\\boxed\{(\w+)\}$")


@dataclass(frozen=True)
class Line:
    """One written step, e.g. ``b=7*5=5``. ``mark`` is a judge's `ok` or `bad`."""

    variable: str
    left: int
    operation: str
    right: int
    result: int
    mark: str | None = None

    def __str__(self) -> str:
        mark = f" {self.mark}" if self.mark else ""
        return f"{self.variable}={self.left}{self.operation}{self.right}={self.result}{mark}"


@dataclass(frozen=True)
class Response:
    """A response in parts. ``thinking`` holds the step lines of the thinking part, and ``words`` the other lines."""

    thinking: list[Line]
    words: list[str]
    solution: list[Line]
    box: str | None
    solution_text: str


def read_line(text: str) -> Line | None:
    found = _LINE.fullmatch(text)
    if found is None:
        return None
    return Line(found[1], int(found[2]), found[3], int(found[4]), int(found[5]), found[6])


def read_response(text: str) -> Response:
    """Split a response into parts. Without ``</think>`` everything counts as thinking and there is no solution."""
    thinking, tag, _ = text.rpartition("</think>")
    solution = (solution_part(text) or "").strip() if tag else ""
    inner = (thinking if tag else text).removeprefix("<think>").strip().split("\n")
    words = [line for line in inner if line and read_line(line) is None]
    box = _LAST_BOX.search(solution)
    return Response(_lines(inner), words, _lines(solution.split("\n")), box[1] if box else None, solution)


def _lines(texts: list[str]) -> list[Line]:
    return [line for text in texts if (line := read_line(text)) is not None]
