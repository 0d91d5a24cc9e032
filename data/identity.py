"""Identity of a problem: a hash of all that the policy is shown. The gold answer is no part of the identity."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from rewards.types import Problem

# Among ten million problems, 64 bits collide with a probability near 3 in a million.
DIGITS = 16
# Keys of ``Problem.meta`` that the import writes. All other keys are columns of the file.
GIVEN_ID, EARLIER_TURNS = "given_id", "earlier_turns"

Turns = Sequence[Mapping[str, str]]


def folded(text: str) -> str:
    """The text in Unicode form NFC with every run of white space as one space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def problem_id(text: str, turns: Turns = ()) -> str:
    """64 bits of a SHA-256 over the folded text and the folded turns before the text, in hex."""
    return _digest(text) if not turns else _digest_of([[turn["role"], folded(turn["content"])] for turn in turns], text)


# Files of candidates repeat the text of a problem in every row.
@lru_cache(maxsize=4096)
def _digest(text: str) -> str:
    return _digest_of([], text)


def _digest_of(turns: list[list[str]], text: str) -> str:
    # JSON marks where a turn ends. Lone surrogates of escaped JSON are no UTF-8 without `surrogatepass`.
    content = json.dumps([turns, folded(text)], ensure_ascii=False).encode("utf-8", "surrogatepass")
    return hashlib.sha256(content).hexdigest()[:DIGITS]


def make_problem(
    text: str, gold: str | None, meta: Mapping[str, Any] | None = None, given_id: str = "", turns: Turns = ()
) -> Problem:
    """A problem with its identity. ``given_id`` is the id of the file, which serves as a label alone."""
    own: dict[str, Any] = {GIVEN_ID: given_id} if given_id else {}
    if turns:
        own[EARLIER_TURNS] = [dict(turn) for turn in turns]
    # Own keys go last, so that a column with the same name cannot replace an own key.
    return Problem(problem_id(text, turns), text, gold, {**(meta or {}), **own})


def label_of(problem: Problem) -> str:
    """The name under which a person knows the problem: the id of the file, else the identity."""
    return str(problem.meta.get(GIVEN_ID) or problem.id)


def earlier_turns(problem: Problem) -> list[dict[str, str]]:
    """Turns of the conversation before the problem, system turn first."""
    return [dict(turn) for turn in problem.meta.get(EARLIER_TURNS) or ()]


def shown_text(problem: Problem) -> str:
    """The problem as a judge is shown it: turns before the problem are written out in front."""
    turns = [f"{turn['role']}: {turn['content']}" for turn in earlier_turns(problem)]
    return "\n\n".join([*turns, f"user: {problem.text}"]) if turns else problem.text
