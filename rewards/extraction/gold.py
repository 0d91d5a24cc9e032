"""Gold answers come as data sets have them: bare, boxed, after ``####``, or at the end of a whole solution.

A gold may be several answers of which any counts. Such a gold is the text ``{"any": ["1/2", "0.5"]}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache

from rewards.extraction.extract import boxed_answer

_AFTER_MARK = re.compile(r"####\s*(.+?)\s*$")
_SAID = re.compile(r"(?i:final answer is|answer is)\s*:?\s*(.+?)\s*(?:\.\s*I hope it is correct.*|\.?\s*$)", re.DOTALL)
_SHORTEST_SOLUTION = 40
_ANY = '{"any"'


@lru_cache(maxsize=4096)
def gold_answers(gold: str) -> tuple[str, ...]:
    """The answers of a gold text, any of which is right; one for nearly all golds."""
    return tuple(gold_answer(answer) for answer in _alternatives(gold))


@lru_cache(maxsize=4096)
def gold_answer(gold: str) -> str:
    """The answer inside a gold text; the text itself where it is just the answer."""
    boxed = boxed_answer(gold)
    if boxed is not None:
        return boxed
    match = _AFTER_MARK.search(gold)
    if match is None and len(gold) > _SHORTEST_SOLUTION:
        match = _SAID.search(gold)
    return match[1] if match else gold


def any_of(golds: Sequence[str]) -> str:
    """One gold text for several answers, any of which is right."""
    return golds[0] if len(golds) == 1 else json.dumps({"any": list(golds)}, ensure_ascii=False)


def all_of(golds: Sequence[str]) -> str:
    """One gold text for answers that must all be given, in any order."""
    return (", " if not any("," in gold for gold in golds) else "; ").join(golds)


def _alternatives(gold: str) -> Sequence[str]:
    if not gold.lstrip().startswith(_ANY):
        return (gold,)
    try:
        answers = json.loads(gold)["any"]
    except (json.JSONDecodeError, KeyError):
        return (gold,)
    usable = (
        isinstance(answers, list) and answers and all(isinstance(answer, str) and answer.strip() for answer in answers)
    )
    return answers if usable else (gold,)
