"""Questions with options: the options stand in the text with letters, and the gold answer is a letter."""

from __future__ import annotations

import hashlib
import random
import string
from collections.abc import Sequence

from data.identity import make_problem
from rewards.types import Problem


def question(text: str, options: Sequence[str], right: int, label: str = "") -> Problem:
    """A problem whose gold is the letter of the option at place ``right``."""
    letters = string.ascii_uppercase[: len(options)]
    shown = "\n".join(f"{letter}. {option.strip()}" for letter, option in zip(letters, options, strict=True))
    return make_problem(f"{text.strip()}\n\n{shown}", letters[right], given_id=label)


def shuffled(text: str, options: Sequence[str]) -> list[int]:
    """An order of the options that hangs on the question alone, so that each run shows the same order."""
    seed = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    order = list(range(len(options)))
    random.Random(seed).shuffle(order)
    return order
