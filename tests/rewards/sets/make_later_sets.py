"""Writes the third and each later set: hostile and right completions of each kind of fault.

``python tests/rewards/sets/make_later_sets.py`` writes the same bytes each time. This grader first read the rows of a
set after the file had been committed. The tables have the form of ``make_second_set``. Each template gives one row,
and templates drawn at random give a second row until the count is reached.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

from make_second_set import FOLDER, PRIMES, filled, lines

Row = dict[str, object]
# Hostile rows, right rows and seed of each set.
SETS = {"third": (600, 800, 163), "fourth": (300, 400, 164), "fifth": (220, 240, 165), "sixth": (180, 160, 166)}
FRAMES = (
    "## Step 1\n\nWe set up the equation.\n\n## Step 2\n\nWe solve it.\n\n$$\\boxed{{{}}}$$",
    "<think>\nOkay, let me think. I would start with 3 cases.\n\n</think>\n\nThe answer is \\(\\boxed{{{}}}\\).",
    "Thus the final answer is\n\n\\[ \\boxed{{{}}} \\]\n\nThis completes the solution.",
    "**Answer:** $\\boxed{{{}}}$<|im_end|>",
    "1. First, $x=1$ fails.\n2. Hence we obtain $\\boxed{{{}}}$.",
)


def row(kind: str, mode: str, line: str, expected: int, rng: random.Random) -> Row:
    a, b = rng.sample(PRIMES, 2)
    c, d = rng.sample([3, 5, 7], 2)
    pair, _, problem = filled(line, {"a": a, "b": b, "c": c, "d": d}).partition(" @ ")
    gold, answer = (side.replace("⏎", "\n") for side in pair.split(" => "))
    completion = rng.choice(FRAMES).format(answer) if mode == "strict" else answer
    shown = "lenient" if mode == "lenient" else "strict"
    return {
        "kind": kind,
        "mode": shown,
        "gold": gold,
        "completion": completion,
        "expected": expected,
        "problem": problem,
    }


def rows(table: Path, expected: int, count: int, rng: random.Random) -> list[Row]:
    """One row a template, then second rows of templates with a hole, ``count`` in all."""
    templates = list(lines(table.read_text(encoding="utf-8")))
    again = [template for template in templates if "«" in template[2]]
    chosen = templates + rng.sample(again, count - len(templates))
    return [row(*template, expected, rng) for template in chosen]


def written(name: str, hostile: int, right: int, seed: int) -> Iterator[str]:
    """The lines of the set ``name``: the hostile rows, then the right ones."""
    rng = random.Random(seed)
    made = rows(FOLDER / f"{name}_hostile.txt", 0, hostile, rng) + rows(FOLDER / f"{name}_right.txt", 1, right, rng)
    yield from (json.dumps(one, ensure_ascii=False) + "\n" for one in made)


def main() -> None:
    for name, (hostile, right, seed) in SETS.items():
        (FOLDER / f"{name}.jsonl").write_text("".join(written(name, hostile, right, seed)), encoding="utf-8")


if __name__ == "__main__":
    main()
