"""The judge's reward: one exact boxed verdict at the very end of the solution part."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rewards.errors import InputError
from rewards.extraction.boxes import Box, outer_boxes
from rewards.extraction.thinking import solution_part
from rewards.types import Reason, Result
from rewards.wordlists import words

# What may follow: closers of mathematics, markdown and quotes, a code fence, punctuation, end marks. No words.
_TAIL = re.compile(
    r"(?:[\s.!$*_`\"')\]}]|\\[\])]|\\end\{(?:center|equation\*?|align\*?)\}|<\|[a-z_]+\|>|</s>|</(?:answer|verdict)>|。|！)*"
)
_WRAPPER = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}\\]*)\}")
_SENTENCE_END = re.compile(r"[.!?。](?:\s|$|\$)|\n")
_JOINING = frozenset(
    words(
        "or and maybe perhaps possibly alternatively either if else otherwise",
    )
)
_TAKING_BACK = frozenset(["wait", "but", "however", "actually", "so", "therefore", "hence", "no"])
DEFAULT_WORDS = ("Yes", "No")
NO_VERDICT = -1.0


def grade_verdict(
    completion: str, label: bool, words: Sequence[str] = DEFAULT_WORDS, *, thinking_open: bool = False
) -> Result:
    """Score 1 iff the last box is exactly the verdict word of ``label`` and nothing but closers follows it.

    Args:
        completion: sampled text without the prompt.
        label: True when the judged solution is correct.
        words: verdict words for correct and for wrong, in this order; compared to the letter, in this case.

    Raises:
        InputError: ``words`` are not two different, non-empty words.
    """
    check_words(words)
    verdict, reason = read_verdict(completion, words, thinking_open=thinking_open)
    if verdict is not None:
        reason = Reason.CORRECT if verdict == label else Reason.WRONG
    parts = {"verdict": NO_VERDICT if verdict is None else float(verdict), "label": float(label)}
    return Result(float(reason is Reason.CORRECT), reason, parts, verdict=verdict)


def read_verdict(
    completion: str, words: Sequence[str] = DEFAULT_WORDS, *, thinking_open: bool = False
) -> tuple[bool | None, Reason]:
    """The verdict as a truth value, or None and the reason why there is none."""
    solution = solution_part(completion, thinking_open=thinking_open)
    boxes = outer_boxes(solution) if solution is not None else []
    if solution is None or not boxes:
        return None, Reason.NO_FINAL_ANSWER
    last = boxes[-1]
    word = _word(last)
    if not word:
        return None, Reason.TRUNCATED
    if word not in words or not _TAIL.fullmatch(solution, last.end) or _hedged(solution, boxes, words):
        return None, Reason.BAD_VERDICT
    return word == words[0], Reason.CORRECT


def _word(box: Box) -> str:
    content = (box.content or "").strip()
    wrapped = _WRAPPER.fullmatch(content)
    return wrapped.group(1).strip() if wrapped else content


def _hedged(solution: str, boxes: list[Box], words: Sequence[str]) -> bool:
    """Both verdicts in one sentence are no verdict. After a sentence of real text the last verdict counts.

    A sentence that takes the first verdict back ("... wait, ...", "but ...") is real text as well.
    """
    if len(boxes) < 2 or _word(boxes[-2]) not in words or _word(boxes[-2]) == _word(boxes[-1]):
        return False
    between = solution[boxes[-2].end : boxes[-1].start]
    said = re.findall(r"\w+", between.casefold())
    if len(said) < 2:
        return True
    return not _SENTENCE_END.search(between) and bool(_JOINING & set(said)) and not _TAKING_BACK & set(said)


def check_words(words: Sequence[str]) -> None:
    """Raise InputError unless ``words`` are two different words that can stand in a box."""
    usable = [word for word in words if isinstance(word, str) and word and word == word.strip()]
    if isinstance(words, str) or len(usable) != 2 or len(set(words)) != 2 or len(words) != 2:
        raise InputError(f"verdict words are {words!r}", "give two different words, the one for correct first")
