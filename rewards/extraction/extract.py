"""From a completion to the one answer that is graded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from rewards.errors import InputError
from rewards.extraction.boxes import Box, outer_boxes
from rewards.extraction.formulas import inside_formula
from rewards.extraction.free_text import free_answer
from rewards.extraction.thinking import solution_part
from rewards.types import Reason
from rewards.wordlists import words

Mode = Literal["strict", "lenient"]

_EMPTY = re.compile(r"(?:\s|~|\\[\s,;:!]|\\q?quad\b|\\(?:text|mathrm|textbf)\s*\{\s*\}|[{}$])*")
# What may stand between two boxes that are the members of one answer: "\boxed{1}, \boxed{2} and \boxed{3}".
_JOINER = re.compile(r"(?:[\s$&,;/]|\\[,;: ()\[\]]|\\q?quad\b|\\(?:text|mathrm)\s*\{|\}|and\b|or\b)*")
_JOINER_WORD = re.compile(r"[,;/&]|\b(?:and|or)\b")
_LONGEST_JOINER = 40
_DEEPEST_BOX = 5
_SAID_LATER = re.compile(r"(?i:final answer(?: is)?\b)")
# Words that turn two boxes of one sentence into two offers: "\boxed{6} or, failing that, \boxed{5}".
_HEDGE = re.compile(
    r"\b(?:or|and|alternatively|else|otherwise|failing|maybe|perhaps|possibly|either|if)\b", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"[.!?](?:\s|$)|\n\s*\n")
_LONGEST_HEDGE = 80
_LONGEST_FORMULA = 400
_CONTINUED_IN_FORMULA = re.compile(
    r"\s*(?:(?:(?:\\right\s*)?[)}]\s*)+(?:[+*/^!-]|\\cdot|\\times)|!|_|\\[pb]?mod(?![a-z])|\(\s*\\?(?:text\{)?mod)"
    r"(?:(?!\\[)\]])[^\n$]){0,60}"
)
_ARGUMENT_OF = re.compile(r"(\\[A-Za-z]+)(?:\{[^{}]*\}|\[[^\]]*\])*\s*\Z")
_EMPHASIS = frozenset(
    rf"\{name}"
    for name in words(
        "text textbf textit mathbf mathrm boldsymbol bm color textcolor colorbox underline displaystyle large Large",
        "huge begin end ensuremath phantom tag mbox hbox fbox boxed",
    )
)
# A sign, a factor or an operation that touches a box from outside: "-\\boxed{5}", "\\boxed{5}+1", "\\boxed{5}^2".
_SIGNED_IN_TEXT = re.compile(r"(?<=[=(:, ])[-\u2212]\Z")
_CONTINUED_BEFORE = re.compile(
    r"(?:(?<=[=$(\[{,:&])|(?<=\\[(\[]))\s*[-\u2212]\s*\Z"
    r"|(?:[0-9]|(?<=[0-9a-z})])\s?[+*/^-]|\\(?:cdot|times|div|pm|mp|neq?|not\s*=)|\^\{?|\\[dt]?frac\s*\{(?:[^{}]*\}\s*\{)?"
    r"|\\sqrt(?:\[[^\]]*\])?\s*\{?|\\(?:bar|overline|cancel|not|xcancel)\s*\{?|(?<=[=$&])\s*[a-zA-Z]"
    r"|\\(?:sin|cos|tan|ln|log|exp|arcsin|arccos|arctan)(?![A-Za-z])\s*[({]?)\s*\Z"
)
_CONTINUED_AFTER = re.compile(
    r"(?:[ \t]*(?:[+^]|\d|\.\d|\\(?:times|cdot|div|pm|frac|sqrt|pi)(?![A-Za-z])"
    r"|[-\u2212*/×÷][ \t]*(?:\d|\(|\\(?:frac|sqrt|pi)))|[A-Za-z](?![A-Za-z]))[^\n$]{0,60}?(?=\\[\])]|[\n$]|\.\s|\.?\Z)"
)


@dataclass(frozen=True)
class Extraction:
    """The final answer, or the reason why there is none."""

    answer: str | None
    reason: Reason | None = None


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
    return answer_in(solution_part(completion.removeprefix(prompt), thinking_open=thinking_open), mode)


def answer_in(solution: str | None, mode: Mode) -> Extraction:
    """The answer in a solution part. None is a completion without one."""
    if solution is None:
        return Extraction(None, Reason.NO_FINAL_ANSWER)
    boxes = outer_boxes(solution, forgiving=mode == "lenient")
    if boxes and not (mode == "lenient" and _SAID_LATER.search(solution, boxes[-1].end)):
        return _from_boxes(solution, boxes, loose=mode == "lenient")
    if mode == "strict" or _EMPTY.fullmatch(solution):
        return Extraction(None, Reason.NO_FINAL_ANSWER)
    answer = free_answer(solution)
    return Extraction(answer, None if answer is not None else Reason.NO_FINAL_ANSWER)


def boxed_answer(text: str) -> str | None:
    """Content of the last complete box of any text (or of the last few, where they are one answer), else None."""
    boxes = outer_boxes(text, forgiving=True)
    return _from_boxes(text, boxes, loose=True).answer if boxes else None


def _from_boxes(solution: str, boxes: list[Box], *, loose: bool) -> Extraction:
    last = boxes[-1].content
    if last is None or _EMPTY.fullmatch(last):
        return Extraction(None, Reason.TRUNCATED)
    tail = _joined_tail(solution, boxes, loose)
    members = [_unnest(box.content or "") for box in tail]
    answer = members[-1] if all(member == members[-1] for member in members) else ", ".join(members)
    before, after = _beside(solution, tail[0], tail[-1])
    return Extraction(before + answer + after)


def _beside(solution: str, first: Box, last: Box) -> tuple[str, str]:
    """What a formula says outside of its box belongs to the answer: a box is no way to hide a sign or a power."""
    head = solution[max(0, first.start - _LONGEST_FORMULA) : first.start]
    in_formula = inside_formula(solution, first.start)
    ends_in_formula = inside_formula(solution, last.start) if last is not first else in_formula
    before = (_CONTINUED_BEFORE if in_formula else _SIGNED_IN_TEXT).search(head, max(0, len(head) - _LONGEST_JOINER))
    after = _CONTINUED_AFTER.match(solution, last.end) or (
        _CONTINUED_IN_FORMULA.match(solution, last.end) if ends_in_formula else None
    )
    opened = _opened(head[head.rfind("$") + 1 :]) if in_formula else ""
    return opened or (before[0] if before else ""), (after[0].rstrip() if after else "")


def _opened(head: str) -> str:
    """A command whose argument is still open at the end of ``head`` and that is no emphasis, with its brace."""
    depth = 0
    for at in range(len(head) - 1, -1, -1):
        depth += (head[at] == "}") - (head[at] == "{")
        if depth < 0:
            depth = 0
            command = _ARGUMENT_OF.search(head[:at])
            if head[:at].rstrip().endswith(("^", "_")):
                return head[at - 1 : at + 1]
            if command is not None and command[1] not in _EMPHASIS:
                return command[0] + "{"
    return ""


def _joined_tail(solution: str, boxes: list[Box], loose: bool) -> list[Box]:
    """The last box and those before it that are members of the same answer."""
    first = len(boxes) - 1
    while first > 0 and _joins(solution[boxes[first - 1].end : boxes[first].start], loose):
        first -= 1
    return boxes[first:]


def _joins(between: str, loose: bool) -> bool:
    """Strict: a comma, "and" or "or" alone. Loose: any short text with one of them, or without letters."""
    if _offers_another(between):
        return True
    if len(between) > _LONGEST_JOINER:
        return False
    if loose:
        return bool(_JOINER_WORD.search(between)) or not re.search(r"[A-Za-z0-9]", between)
    return bool(_JOINER.fullmatch(between) and _JOINER_WORD.search(between))


def _offers_another(between: str) -> bool:
    """Whether a short text inside one sentence hedges, so that both boxes are offered."""
    if len(between) > _LONGEST_HEDGE or _SENTENCE_END.search(between):
        return False
    return bool(_HEDGE.search(between))


def _unnest(content: str) -> str:
    """Take off boxes that wrap the whole content: a box in a box is one answer (each level costs a pass)."""
    content = content.strip()
    for _ in range(_DEEPEST_BOX):
        inner = outer_boxes(content)
        if len(inner) != 1 or inner[0].start != 0 or inner[0].end != len(content):
            break
        content = (inner[0].content or "").strip()
    return content
