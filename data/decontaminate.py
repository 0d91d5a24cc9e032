"""No training on evaluation problems: overlap by n-grams of words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from data.problems import read_problems
from rewards.errors import InputError
from rewards.types import Problem

NGRAM = 8
SHARE = 0.5
EXAMPLES = 3
_WORD = re.compile(r"\w+")


def words_of(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def ngrams(text: str) -> set[tuple[str, ...]]:
    """8-grams of words; a shorter text is one n-gram of its own length."""
    words = words_of(text)
    return {tuple(words[i : i + NGRAM]) for i in range(max(1, len(words) - NGRAM + 1))} if words else set()


def overlapping(problems: Sequence[Problem], evaluation: Sequence[Problem]) -> list[Problem]:
    """Problems at least half of whose n-grams occur in the evaluation problems."""
    known = set().union(*(ngrams(problem.text) for problem in evaluation)) if evaluation else set()
    return [p for p in problems if (grams := ngrams(p.text)) and len(grams & known) >= SHARE * len(grams)]


def check_overlap(problems: Sequence[Problem], eval_files: Sequence[Path], action: str = "stop") -> list[Problem]:
    """Problems that may be trained on.

    Raises:
        InputError: some overlap with an evaluation file and ``action`` is ``stop``.
    """
    kept = list(problems)
    for path in eval_files:
        found = overlapping(kept, read_problems(path))
        if found and action == "stop":
            shown = ", ".join(problem.id[:60] for problem in found[:EXAMPLES])
            text = f"{len(found)} of {len(kept)} training problems are contaminated: they occur in it ({shown}, ...)"
            raise InputError(text, "leave them out, or set data.contamination=drop", file=path)
        lost = {problem.id for problem in found}
        kept = [problem for problem in kept if problem.id not in lost]
    if problems and not kept:
        raise InputError("every training problem occurs in an evaluation set", "give other training data")
    return kept
