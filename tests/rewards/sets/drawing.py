"""What the makers of both lists share: numbers, letters and the tags of thinking formats."""

from __future__ import annotations

import random
from collections.abc import Callable

Pair = tuple[str, str]  # gold, answer
Maker = Callable[[random.Random], Pair]


def n(rng: random.Random, low: int = 2, high: int = 60) -> int:
    return rng.randint(low, high)


def pick(rng: random.Random, *options: str) -> str:
    return rng.choice(options)


def letters(rng: random.Random, count: int = 3) -> list[str]:
    return rng.sample("ABCDEFGHKLMNPQRST", count)


OPEN_CLOSE = (
    ("<think>", "</think>"), ("<thinking>", "</thinking>"), ("[THINK]", "[/THINK]"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
)  # fmt: skip
