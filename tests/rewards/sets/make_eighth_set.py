r"""Writes the eighth set: 600 hostile and 800 right completions, from golds of public data.

``JUDGERLVR_TEST_DATA=FOLDER python tests/rewards/sets/make_eighth_set.py`` writes the same bytes each time. The holes
of the two tables are filled from golds of MATH. Further rows change, restyle or quote golds and solutions of MATH,
AIME and GSM8K. The file was committed before this grader read a row. The rule for sets was checked by math-verify
alone.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from make_second_set import FOLDER, filled, lines

HOSTILE, RIGHT, SEED = 600, 800, 168
FRAMES = (
    "We count both cases and add.\n\nThe result is $\\boxed{{{}}}$.",
    "<think>\nWait, is $n=4$ allowed? Yes.\n</think>\n\n**Solution.** Substituting back,\n\n$$\\boxed{{{}}}$$",
    "### Step 2\nSimplify.\n\n### Conclusion\n\\[\\boxed{{{}}}\\]\n",
    "Okay. First $2+2=4$. Thus, \\(\\boxed{{{}}}\\).",
    "\\boxed{{{}}}",
)
Row = dict[str, object]


class Golds:
    """Golds of the public files by their form, each sorted so that a seed draws the same."""

    def __init__(self, folder: Path) -> None:
        train = json.loads((folder / "train" / "math-train-7474.json").read_text(encoding="utf-8"))
        self.solved = [*_lines(folder / "eval" / "math500.jsonl"), *_lines(folder / "eval" / "aime24.jsonl")]
        self.school = _lines(folder / "eval" / "gsm8k-test.jsonl")
        self.all = sorted({str(row["answer"]) for row in [*train, *self.solved] if row["answer"]})
        self.whole = self._matching(r"([1-9]\d{1,2})", low=11)
        self.large = self._matching(r"([1-9]\d{3,4})")
        self.fractions = [pair for pair in self._matching(r"\\frac\{(\d+)\}\{(\d+)\}", least=1) if pair[1] > 2]
        self.roots = self._matching(r"(\d+)\\sqrt\{(\d+)\}")
        self.points = self._matching(r"\((-?\d+), ?(-?\d+)\)")

    def _matching(self, pattern: str, *, low: int = 0, least: int = 0) -> list:
        found = [re.fullmatch(pattern, gold) for gold in self.all]
        tuples = [tuple(int(part) for part in match.groups()) for match in found if match]
        one = [parts[0] if len(parts) == 1 else parts for parts in tuples if parts[0] >= low or len(parts) > 1]
        return sorted(value for value in one if not least or value[0] != value[1])

    def holes(self, rng: random.Random) -> dict[str, object]:
        a, b = rng.sample(self.whole, 2)
        while b in (a * 2, a * 3) or abs(a - b) < 4:
            b = rng.choice(self.whole)
        c, d = rng.sample([3, 5, 7], 2)
        large = rng.choice(self.large)
        names = {"a": a, "b": b, "c": c, "d": d, "m": large, "M": f"{large:,}"}
        for keys, values in (("fn fd", self.fractions), ("rn rd", self.roots), ("tx ty", self.points)):
            names |= dict(zip(keys.split(), rng.choice(values), strict=True))
        return names


def _lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def shown(kind: str, mode: str, gold: str, answer: str, expected: int, rng: random.Random, problem: str = "") -> Row:
    completion = rng.choice(FRAMES).format(answer) if mode == "strict" else answer
    mode = "lenient" if mode == "lenient" else "strict"
    row = {"kind": kind, "mode": mode, "gold": gold, "completion": completion}
    return row | {"expected": expected, "problem": problem}


def from_table(name: str, expected: int, count: int, golds: Golds, rng: random.Random) -> Iterator[Row]:
    """One row a template, then further rows of templates with a hole, ``count`` in all."""
    templates = list(lines((FOLDER / name).read_text(encoding="utf-8")))
    again = [template for template in templates if "«" in template[2]]
    further = [template for _ in range(2) for template in rng.sample(again, len(again))]
    for kind, mode, line in (templates + further)[:count]:
        pair, _, problem = filled(line, golds.holes(rng)).partition(" @ ")  # type: ignore[arg-type]
        gold, answer = (side.replace("⏎", "\n") for side in pair.split(" => "))
        yield shown(kind, mode, gold, answer, expected, rng, problem)


Change = Callable[[str], str]


def _put(pattern: str, put: str | Callable[[re.Match[str]], str]) -> Change:
    return lambda gold: re.sub(pattern, put, gold, count=1)


# Kind, which golds a change takes, and the change. Each gives another answer.
CHANGES: tuple[tuple[str, str, Change], ...] = (
    ("public: digit", r"\d", _put(r"\d(?!.*\d)", lambda found: str((int(found[0]) + 3) % 10))),
    ("public: sign of a term", r"[a-z0-9}] ?- ?\d", _put(r"(?<=[a-z0-9}]) ?- ?", "+")),
    ("public: doubled", r"^\\frac\{\d+\}\{\d+\}$|^\d+\\sqrt\{\d+\}$", lambda gold: gold + r"\cdot 2"),
    ("public: denied", r"^[^,=]*$", lambda gold: rf"\text{{It is not }}{gold}"),
    ("public: alternative", r"^\d+$|^\\frac\{\d+\}\{\d+\}$", lambda gold: rf"{gold}\text{{ or }}{gold}1"),
    ("public: to be computed", r"^[1-9]\d*$", lambda gold: rf"\sqrt[3]{{{gold}^3}}"),
    ("public: bound", r"^\d+$|\\sqrt|\\pi", lambda gold: rf"\text{{less than }}{gold}"),
    ("public: last member lost", r"^-?[^,()\[\]]+,(?!\d{3})[^,()\[\]]+$", lambda gold: gold.rsplit(",", 1)[0]),
)
# Each gives the same answer.
RESTYLES: tuple[tuple[str, str, Change], ...] = (
    ("public: display style", r"\\frac", lambda gold: r"\displaystyle " + gold.replace(r"\frac", r"\dfrac")),
    ("public: slash", r"^-?\\frac\{\d+\}\{\d+\}$", _put(r"\\frac\{(\d+)\}\{(\d+)\}", r"\1/\2")),
    ("public: short root", r"\\sqrt\{\d\}", _put(r"\\sqrt\{(\d)\}", r"\\sqrt\1")),
    ("public: short fraction", r"\\frac\{\d\}\{\d\}", _put(r"\\frac\{(\d)\}\{(\d)\}", r"\\frac\1\2")),
    ("public: closing dot", r"[^.]$", lambda gold: gold + "."),
    ("public: bold", r"^-?\d+$|^\\text\{\w+\}$", lambda gold: rf"\mathbf{{{gold}}}"),
    ("public: said", r"^-?\d+$|\\sqrt|\\frac", lambda gold: rf"\text{{Answer: }} {gold}"),
    ("public: wide brackets", r"^[(\[][^()\[\]]*[)\]]$", lambda gold: rf"\left{gold[:-1]}\right{gold[-1]}"),
    ("public: member of an interval", r"^[(\[][^,]+,[^,]+\]$|^\[[^,]+,[^,]+\)$", lambda gold: rf"x \in {gold}"),
    ("public: group of three", r"^\d{4,}$", lambda gold: f"{int(gold):,}"),
    ("public: approximated", r"^\d*\\sqrt\{\d+\}$", lambda gold: rf"{gold}\approx {_decimal(gold):.3f}"),
    ("public: unit left out", r"^\d+ ?(?:\\,|\\ )?\\text\{ ?\w+\}$", lambda gold: re.match(r"\d+", gold)[0]),  # type: ignore[index]
)


def _decimal(root: str) -> float:
    factor, inner = re.fullmatch(r"(\d*)\\sqrt\{(\d+)\}", root).groups()  # type: ignore[union-attr]
    return int(factor or 1) * int(inner) ** 0.5


def from_golds(table: tuple, each: int, expected: int, golds: Golds, rng: random.Random) -> Iterator[Row]:
    for kind, takes, change in table:
        fitting = [gold for gold in golds.all if re.search(takes, gold) and change(gold) != gold and len(gold) < 60]
        for gold in rng.sample(fitting, min(each, len(fitting))):
            yield shown(kind, "strict", gold, change(gold), expected, rng)


def from_solutions(golds: Golds, expected: int, each: int, rng: random.Random) -> Iterator[Row]:
    """Published solutions as they stand, or with another number in the end."""
    for solved in rng.sample([row for row in golds.solved if str(row["answer"]).isdigit()], each):
        box = rf"\boxed{{{solved['answer']}}}"
        if box not in solved["solution"]:
            continue
        text = solved["solution"] if expected else solved["solution"].replace(box, rf"\boxed{{{solved['answer']}7}}")
        yield shown("public: solutions", "whole", str(solved["answer"]), text, expected, rng, solved["problem"])
    for solved in rng.sample(golds.school, each):
        text, gold = re.sub(r"<<.*?>>", "", solved["answer"]).split("\n#### ")
        last = f"**{gold}**" if expected else f"**{int(gold.replace(',', '')) + 1}**, where the key has {gold}"
        completion = f"{text}\n\nThe final answer is {last}."
        yield shown("public: solutions", "lenient", gold, completion, expected, rng, solved["question"])


def written(golds: Golds) -> Iterator[str]:
    rng = random.Random(SEED)
    hostile = [*from_golds(CHANGES, 12, 0, golds, rng), *from_solutions(golds, 0, 12, rng)]
    right = [*from_golds(RESTYLES, 12, 1, golds, rng), *from_solutions(golds, 1, 20, rng)]
    made = [
        *from_table("eighth_hostile.txt", 0, HOSTILE - len(hostile), golds, rng),
        *hostile,
        *from_table("eighth_right.txt", 1, RIGHT - len(right), golds, rng),
        *right,
    ]
    yield from (json.dumps(one, ensure_ascii=False) + "\n" for one in made)


if __name__ == "__main__":
    text = "".join(written(Golds(Path(os.environ["JUDGERLVR_TEST_DATA"]))))
    (FOLDER / "eighth.jsonl").write_text(text, encoding="utf-8")
