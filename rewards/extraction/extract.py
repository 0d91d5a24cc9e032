"""From a completion to the one answer that is graded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from rewards.errors import InputError
from rewards.extraction.around_box import may_be_hidden, with_formula
from rewards.extraction.boxes import Box, outer_boxes
from rewards.extraction.formulas import formula_around, paragraph
from rewards.extraction.free_text import free_answer
from rewards.extraction.thinking import solution_part
from rewards.types import Reason

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
# A sign, a factor or an operation that touches a box from outside: "-\\boxed{5}", "\\boxed{5}+1", "\\boxed{5}^2".
_SIGNED_IN_TEXT = re.compile(r"(?:(?:(?<=[=(:, \n])|\A)[-\u2212]|\*\*[-\u2212]\*\*|(?<![\w.,])[0-9]+(?:[.,][0-9]+)*)\Z")
_CONTINUED_AFTER = re.compile(
    r"(?:[ \t]*(?:[+^]|\d|\.\d|\\(?:times|cdot|div|pm|frac|sqrt|pi)(?![A-Za-z])"
    r"|[-\u2212*/×÷][ \t]*(?:\d|\(|\\(?:frac|sqrt|pi)))|[A-Za-z](?![A-Za-z]))[^\n$]{0,60}?(?=\\[\])]|[\n$]|\.\s|\.?\Z)"
)

# What a sentence says directly before or after a box, of which the box is only a part.
_DENIED_BEFORE = re.compile(
    r"(?:\b(?:not|never|neither|nor|minus|negative|half of|twice|thrice|double|triple)"
    r"|(?:n['\u2019]t|\bcannot|\bnever)(?: be| have)?"
    r"|\b(?:all|anything|everything|nothing) but|\bexcept(?: for)?|\bother than"
    r"|\b(?:false|untrue|true|wrong|incorrect|case|impossible|unlikely|doubtful|doubt|deny|denies|refute|refutes) that"
    r"|~~|<(?:s|del|strike)>|<!--)[\s*:$]*\Z",
    re.IGNORECASE,
)
# The last two signs of every match above. Most heads have none of these, and this search costs far less.
_MAY_DENY = re.compile(r"(?:ot|er|or|us|ve|of|ce|le|['\u2019]t|be|ut|pt|an|at|~~|[sle]>|--)[\s*:$]*\Z", re.IGNORECASE)
_DENIED_AFTER = re.compile(
    r"[\s*$]*(?:(?:is|was|are|were|would be|seems|looks)(?:n['\u2019]t\b|\s+(?:not|wrong|incorrect|false|never)\b)"
    r"|or\s+(?=[\\$\d-])|(?:million|billion|trillion|thousand|hundred|dozen|thirds|halves|squared|cubed)\b|times\s+[\\$\d]"
    # A question claims nothing, and the next sentence may take the box back.
    r"|(?:\\[)\]])?[\s*$]*(?:\?|[.!;]?[\s*$]*(?:no[.,!]|(?:wrong|incorrect)[.!]"
    r"|(?:that|this|it)(?:['\u2019]s|\s+is|\s+was)"
    r"(?:\s+(?:wrong|incorrect|false)|(?:n['\u2019]t|\s+not)\s+(?:right|correct|true|the answer))\b)))",
    re.IGNORECASE,
)
_SHARE = re.compile(r"[\s$]*\\?%[\s$]*of\b")


@dataclass(frozen=True)
class Extraction:
    """The final answer, or the reason why there is none."""

    answer: str | None
    reason: Reason | None = None


def final_answer(
    completion: str, *, mode: Mode = "strict", thinking_open: bool = False, prompt: str = "", problem_text: str = ""
) -> Extraction:
    """Last complete box of the solution part.

    Args:
        completion: sampled text; may begin with ``prompt``, which is then ignored.
        mode: ``strict`` takes boxes only; ``lenient`` takes the response itself where there is no box.
        thinking_open: the prompt ended inside the thinking part.
        problem_text: the problem, whose words lenient mode reads in the sentence that gives the answer.

    Raises:
        InputError: unknown ``mode``.
    """
    if mode not in get_args(Mode):
        raise InputError(f"unknown extraction mode {mode!r}", f"use one of {', '.join(get_args(Mode))}")
    return answer_in(solution_part(completion.removeprefix(prompt), thinking_open=thinking_open), mode, problem_text)


def answer_in(solution: str | None, mode: Mode, problem_text: str = "") -> Extraction:
    """The answer in a solution part. None is a completion without one."""
    if solution is None:
        return Extraction(None, Reason.NO_FINAL_ANSWER)
    boxes = outer_boxes(solution, forgiving=mode == "lenient")
    if boxes and not (mode == "lenient" and _SAID_LATER.search(solution, boxes[-1].end)):
        return _from_boxes(solution, boxes, loose=mode == "lenient")
    if mode == "strict" or _EMPTY.fullmatch(solution):
        return Extraction(None, Reason.NO_FINAL_ANSWER)
    answer = free_answer(solution, problem_text)
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
    return Extraction(_with_neighbours(solution, tail[0], tail[-1], answer))


def _with_neighbours(solution: str, first: Box, last: Box, answer: str) -> str:
    """What a formula says outside of its box belongs to the answer, and so does a word of the sentence that denies."""
    start, end = first.start, last.end
    opened = formula_around(solution, start, first.end)
    closed = opened if last is first else formula_around(solution, last.start, end)
    before = solution[max(opened[0], start - _LONGEST_FORMULA) : start] if opened else ""
    after = solution[end : min(closed[1], end + _LONGEST_FORMULA)] if closed else ""
    whole = with_formula(before, answer, after, several=last is not first)
    start, end = opened[0] if opened else start, closed[1] if closed else end
    head, tail = solution[max(0, start - _LONGEST_JOINER) : start], solution[end : end + _LONGEST_HEDGE]
    denied = _denied_before(head) or _DENIED_AFTER.match(tail) or _SHARE.match(solution, last.end)
    if denied or may_be_hidden(solution[paragraph(solution, start) : start]):
        return rf"\text{{not }}{whole}"
    signed = _SIGNED_IN_TEXT.search(head) if opened is None else None
    continued = _CONTINUED_AFTER.match(solution, end) if closed is None else None
    return (signed[0] if signed else "") + whole + (continued[0].rstrip() if continued else "")


def _denied_before(head: str) -> bool:
    return bool(_MAY_DENY.search(head) and _DENIED_BEFORE.search(head))


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
