"""Gold answers come as data sets have them: bare, boxed, after ``####``, or at the end of a whole solution."""

from __future__ import annotations

import re
from functools import lru_cache

from rewards.extraction.extract import boxed_answer

_AFTER_MARK = re.compile(r"####\s*(.+?)\s*$")
_SAID = re.compile(r"(?i:final answer is|answer is)\s*:?\s*(.+?)\s*(?:\.\s*I hope it is correct.*|\.?\s*$)", re.DOTALL)
_SHORTEST_SOLUTION = 40


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
