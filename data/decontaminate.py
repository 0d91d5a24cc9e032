"""No training on evaluation problems: overlap by n-grams of words."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
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
    """Problems that share at least half of their own n-grams, or half of an evaluation problem's.

    The second catches an evaluation problem that stands inside a longer prompt.
    """
    known = [ngrams(problem.text) for problem in evaluation]
    where: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, grams in enumerate(known):
        for gram in grams:
            where[gram].append(place)
    return [problem for problem in problems if _overlaps(ngrams(problem.text), known, where)]


def _overlaps(
    grams: set[tuple[str, ...]], known: Sequence[set[tuple[str, ...]]], where: Mapping[tuple[str, ...], list[int]]
) -> bool:
    shared = [gram for gram in grams if gram in where]
    if shared and len(shared) >= SHARE * len(grams):
        return True
    hits = Counter(place for gram in shared for place in where[gram])
    return any(count >= SHARE * len(known[place]) for place, count in hits.items())


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
