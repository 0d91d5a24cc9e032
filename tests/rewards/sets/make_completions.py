r"""Writes ``completions.jsonl``: 600 hostile and 800 right completions, by kinds of fault.

``python tests/rewards/sets/make_completions.py`` writes the same bytes each time. The file was committed before
anything graded the rows.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

from drawing import Maker
from hostile_kinds import HOSTILE_KINDS
from right_kinds import RIGHT_KINDS

FILE = Path(__file__).with_name("completions.jsonl")
HOSTILE, RIGHT = 600, 800


def boxed(rng: random.Random, answer: str) -> str:
    frame = rng.choice(
        ["<think>Some thought.</think>\n\nTherefore ${}$.", "So the answer is ${}$.", "{}", "$${}$$", "Hence {}."]
    )
    return frame.format(rf"\boxed{{{answer}}}")


def rows(
    kinds: dict[str, tuple[Maker, str]], total: int, expected: int, rng: random.Random
) -> Iterator[dict[str, object]]:
    """``total`` different rows, kinds in turn; a kind that has run out of rows is skipped."""
    seen: set[tuple[str, str, str]] = set()
    count, turn = 0, 0
    while count < total:
        kind = list(kinds)[turn % len(kinds)]
        turn += 1
        make, mode = kinds[kind]
        for _ in range(50):
            gold, answer = make(rng)
            if (kind, gold, answer) not in seen:
                seen.add((kind, gold, answer))
                completion = boxed(rng, answer) if mode == "strict" else answer
                shown = "lenient" if mode == "lenient" else "strict"
                yield {"kind": kind, "mode": shown, "gold": gold, "completion": completion, "expected": expected}
                count += 1
                break


def main() -> None:
    rng = random.Random(20261128)
    made = [*rows(HOSTILE_KINDS, HOSTILE, 0, rng), *rows(RIGHT_KINDS, RIGHT, 1, rng)]
    FILE.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made), encoding="utf-8")


if __name__ == "__main__":
    main()
