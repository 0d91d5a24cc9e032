"""Writes the ninth set: 300 hostile and 320 right completions in surface forms that no earlier set has.

``python tests/rewards/sets/make_ninth_set.py`` writes the same bytes each time. The file was committed before any
grader read a row. The tables have the form of ``make_second_set``. Their author had read the policy, and no rule of
the grader.
"""

from __future__ import annotations

import json
import random

from make_second_set import FOLDER, filled, lines

HOSTILE, RIGHT, SEED = 300, 320, 169
WHOLE = [value for value in range(103, 990) if value % 10 and value % 7]
FRAMES = (
    "Let $S$ be the sum. Collecting terms leaves one case.\n\n$\\boxed{{{}}}$",
    "<think>\nMaybe 3? Let me recheck: $2\\cdot 2=4$.\n</think>\n\nHere is the result:\n\n$$\\boxed{{{}}}$$\n",
    "Step 3: simplify.\n\n\\begin{{equation*}}\n\\boxed{{{}}}\n\\end{{equation*}}",
    "Consequently we have \\(\\boxed{{{}}}\\), as required.",
    "$\\boxed{{{}}}$",
)
Row = dict[str, object]


def row(kind: str, mode: str, line: str, expected: int, rng: random.Random) -> Row:
    a, b = rng.sample(WHOLE, 2)
    c, d = rng.sample([3, 5, 7, 9], 2)
    pair, _, problem = filled(line, {"a": a, "b": b, "c": c, "d": d}).partition(" @ ")
    gold, answer = (side.replace("⏎", "\n") for side in pair.split(" => "))
    completion = rng.choice(FRAMES).format(answer) if mode == "strict" else answer
    mode = "lenient" if mode == "lenient" else "strict"
    made = {"kind": kind, "mode": mode, "gold": gold, "completion": completion}
    return made | {"expected": expected, "problem": problem}


def rows(name: str, expected: int, count: int, rng: random.Random) -> list[Row]:
    """One row a template, then second rows of templates with a hole, ``count`` in all."""
    templates = list(lines((FOLDER / name).read_text(encoding="utf-8")))
    again = [template for template in templates if "«" in template[2]]
    chosen = templates + rng.sample(again, count - len(templates))
    return [row(*template, expected, rng) for template in chosen]


def main() -> None:
    rng = random.Random(SEED)
    made = rows("ninth_hostile.txt", 0, HOSTILE, rng) + rows("ninth_right.txt", 1, RIGHT, rng)
    text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in made)
    (FOLDER / "ninth.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
