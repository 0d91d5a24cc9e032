"""Expressions that a problem asks for, such as m + n in "Find $m+n$", which may stand as the name of an answer."""

from __future__ import annotations

import re
from functools import lru_cache

from rewards.comparison.items import items_of
from rewards.comparison.relations_reader import name_of

_ASKED = re.compile(
    r"\b(?:find|compute|evaluate|determine|calculate|what is|what are|values? of|give)\b([^.?]{0,200})", re.IGNORECASE
)
_FORMULA = re.compile(r"\$([^$]{1,60})\$|\\\((.{1,60}?)\\\)")
_RELATIONS = ("=", "<", ">", r"\le", r"\ge", r"\ne", r"\in", ",")


@lru_cache(maxsize=4096)
def asked_expressions(problem_text: str) -> frozenset[str]:
    """Formulas without a relation sign that a request of the problem names, spelled as names are."""
    found: set[str] = set()
    for request in _ASKED.finditer(problem_text):
        for formula in _FORMULA.finditer(request[1]):
            items = items_of(formula[1] or formula[2])
            if not any(item.is_(*_RELATIONS) or item.kind == "unknown" for item in items):
                found.add(name_of(items))
    return frozenset(found)
