"""From a completion to the one answer that is graded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from rewards.boxes import Box, outer_boxes
from rewards.errors import InputError
from rewards.thinking import solution_part
from rewards.types import Reason

Mode = Literal["strict", "lenient"]

_EMPTY = re.compile(r"(?:\s|~|\\[\s,;:!]|\\q?quad\b|\\(?:text|mathrm|textbf)\s*\{\s*\}|[{}$])*")
# What may stand between two boxes that are the members of one answer: "\boxed{1}, \boxed{2} and \boxed{3}".
_JOINER = re.compile(r"(?:[\s$&,;/]|\\[,;: ()\[\]]|\\q?quad\b|\\(?:text|mathrm)\s*\{|\}|and\b|or\b)*")
_JOINER_WORD = re.compile(r"[,;/&]|and|or")
_SAID = re.compile(r"(?i:(?:final\s+)?answer(?:\s+is)?)\s*[:=]?\s*(?:\*\*)?\s*")


@dataclass(frozen=True)
class Extraction:
    """The final answer, or the reason why there is none.

    ``free`` marks an answer that no box delimits (lenient mode only), so that the comparison has to look for it
    inside ``answer``.
    """

    answer: str | None
    reason: Reason | None = None
    free: bool = False


def final_answer(
    completion: str, *, mode: Mode = "strict", thinking_open: bool = False, prompt: str = ""
) -> Extraction:
    """Last complete box of the solution part.

    Args:
        completion: sampled text; may begin with ``prompt``, which is then ignored.
        mode: ``strict`` takes boxes only; ``lenient`` takes the response itself where there is no box.
        thinking_open: the prompt ended inside the thinking part.

    Raises:
        InputError: unknown ``mode``.
    """
    if mode not in get_args(Mode):
        raise InputError(f"unknown extraction mode {mode!r}", f"use one of {', '.join(get_args(Mode))}")
    solution = solution_part(completion.removeprefix(prompt), thinking_open=thinking_open)
    if solution is None:
        return Extraction(None, Reason.NO_FINAL_ANSWER)
    boxes = outer_boxes(solution)
    if boxes:
        return _from_boxes(solution, boxes)
    if mode == "strict" or _EMPTY.fullmatch(solution):
        return Extraction(None, Reason.NO_FINAL_ANSWER)
    return Extraction(solution.strip(), free=True)


def _from_boxes(solution: str, boxes: list[Box]) -> Extraction:
    last = boxes[-1].content
    if last is None or _EMPTY.fullmatch(last):
        return Extraction(None, Reason.TRUNCATED)
    members = [_unnest(box.content or "") for box in _joined_tail(solution, boxes)]
    if all(member == members[-1] for member in members):
        return Extraction(members[-1])
    return Extraction(", ".join(members))


def _joined_tail(solution: str, boxes: list[Box]) -> list[Box]:
    """The last box and those before it that it is joined to by a comma, "and" or "or"."""
    first = len(boxes) - 1
    while first > 0:
        between = solution[boxes[first - 1].end : boxes[first].start]
        if len(between) > 40 or not _JOINER.fullmatch(between) or not _JOINER_WORD.search(between):
            break
        first -= 1
    return boxes[first:]


def _unnest(content: str) -> str:
    """Take off boxes that wrap the whole content: a box in a box is one answer."""
    content = content.strip()
    while len(inner := outer_boxes(content)) == 1 and inner[0].start == 0 and inner[0].end == len(content):
        content = (inner[0].content or "").strip()
    return content
