"""Writes ``second.jsonl``: completions of each kind of fault, from two tables of templates.

``python tests/rewards/sets/make_second_set.py`` writes the same bytes each time. The file was committed before
anything graded the rows. A line of a table is ``gold => answer``, then ``@ problem`` where the problem
matters. The sign ⏎ stands for a line break.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent
DRAWS = 2
PRIMES = [11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97]
HOLE = re.compile("«(.*?)»")
FRAMES = (
    "So the answer is ${}$.",
    "<think>Let me compute this. A first try gave 10.</think>\n\nTherefore, the result is\n\n$$\n{}\n$$",
    "**Final Answer**\n\n\\[\n{}\n\\]",
    "We get $1+1=2$ and, putting all of it together, {}.",
    "{}",
)


def filled(template: str, numbers: dict[str, int]) -> str:
    """``template`` with each expression between guillemets replaced by its value."""
    return HOLE.sub(lambda hole: f"{eval(hole[1], {'round': round}, dict(numbers))}", template)


def lines(table: str) -> Iterator[tuple[str, str, str]]:
    """Kind, mode and template, line by line."""
    kind = mode = ""
    for line in table.splitlines():
        if line.startswith("## "):
            kind, mode = line[3:].rsplit(", ", 1)
        elif line:
            yield kind, mode, line


def rows(name: str, expected: int, rng: random.Random) -> Iterator[dict[str, object]]:
    for kind, mode, line in lines((FOLDER / name).read_text(encoding="utf-8")):
        for _ in range(DRAWS if "«" in line else 1):
            a, b = rng.sample(PRIMES, 2)
            c, d = rng.sample([3, 5, 7], 2)
            pair, _, problem = filled(line, {"a": a, "b": b, "c": c, "d": d}).partition(" @ ")
            gold, answer = (side.replace("⏎", "\n") for side in pair.split(" => "))
            yield {
                "kind": kind,
                "mode": "lenient" if mode == "lenient" else "strict",
                "gold": gold,
                "completion": rng.choice(FRAMES).format(f"\\boxed{{{answer}}}") if mode == "strict" else answer,
                "expected": expected,
                "problem": problem,
            }


def main() -> None:
    rng = random.Random(16)
    made = [*rows("second_hostile.txt", 0, rng), *rows("second_right.txt", 1, rng)]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made)
    (FOLDER / "second.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
