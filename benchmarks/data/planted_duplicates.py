"""Recall of decontamination on planted duplicates, and flags on a training set.

    python -m benchmarks.data.planted_duplicates EVAL_FILE [--train FILE] [--seed N]

Each kind of disguise is put on every evaluation problem. The disguised problems lie among the training problems.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

from data.decontaminate import overlaps, read_evaluation
from data.problems import read_problems
from rewards.types import Problem

SUFFIX = " Please reason step by step, and put your final answer within \\boxed{}."
NAMES = ("Priya", "Tomasz", "Ingrid", "Kwame", "Yuki", "Leila", "Mateo", "Anouk", "Bjorn", "Chidi", "Farah", "Goran")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]{2,}\b|^[A-Z][a-z]{2,}(?='s|\u2019s)")
_NOT_NAMES = frozenset(
    [
        "The",
        "What",
        "How",
        "Find",
        "Let",
        "Express",
        "Compute",
        "Evaluate",
        "Determine",
        "Simplify",
        "If",
        "Given",
        "Each",
        "Enter",
        "Assume",
    ]
)
_UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["-", "-", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]

LATEX = (
    (r"\\dfrac", r"\\frac"),
    (r"\\frac", r"\\dfrac"),
    (r"\\left|\\right", ""),
    (r"\\le(?![a-z])", r"\\leq"),
    (r"\\cdot", r"\\times"),
    (r"\$([^$]+)\$", r"\\(\1\\)"),
    (r"\\text\{", r"\\mathrm{"),
    (r"(?<=\d),(?=\d{3})", "{,}"),
    (r"\^\\circ", r"^{\\circ}"),
)
UNICODE = (
    (r"\\times", "\u00d7"),
    (r"\\cdot", "\u00b7"),
    (r"\\pi(?![a-z])", "\u03c0"),
    (r"\\theta(?![a-z])", "\u03b8"),
    (r"\\leq?(?![a-z])", "\u2264"),
    (r"\\geq?(?![a-z])", "\u2265"),
    (r"\\sqrt", "\u221a"),
    (r"\^\{?\\circ\}?", "\u00b0"),
    (r"\^\{?2\}?", "\u00b2"),
    (r"\^\{?3\}?", "\u00b3"),
    (r"\\d?frac\{1\}\{2\}", "\u00bd"),
    (r"\\angle", "\u2220"),
    (r"'", "\u2019"),
    (r"(?<=\s)-(?=[\d\s])", "\u2212"),
    (r" ", "\u00a0"),
    (r"\$", ""),
)


def in_words(number: int) -> str:
    """A number below a million in English words."""
    if number < 20:
        return _UNITS[number]
    if number < 100:
        return _TENS[number // 10] + (f"-{_UNITS[number % 10]}" if number % 10 else "")
    if number < 1000:
        rest = number % 100
        return f"{_UNITS[number // 100]} hundred" + (f" and {in_words(rest)}" if rest else "")
    rest = number % 1000
    return f"{in_words(number // 1000)} thousand" + (f" {in_words(rest)}" if rest else "")


def spaced(text: str, draw: random.Random) -> str:
    """More white space between words, in another case."""
    words = text.split()
    return "".join(word + draw.choice((" ", "  ", "\n", "\t", " \n ")) for word in words).upper()


def latex(text: str, draw: random.Random) -> str:
    for pattern, other in LATEX:
        if draw.random() < 0.7:
            text = re.sub(pattern, other, text)
    return text


def unicode(text: str, draw: random.Random) -> str:
    for pattern, other in UNICODE:
        if draw.random() < 0.9:
            text = re.sub(pattern, other, text)
    return unicodedata.normalize(draw.choice(("NFC", "NFD")), text)


def words(text: str, draw: random.Random) -> str:
    """Every whole number below a million in words, outside names such as x_1."""

    def spoken(match: re.Match[str]) -> str:
        value = int(match[0].replace(",", ""))
        return in_words(value) if value < 1_000_000 else match[0]

    return re.sub(r"(?<![\w.^{\\])\d{1,3}(?:,\d{3})+(?![\w.])|(?<![\w.^{\\])\d{1,6}(?![\w.,])", spoken, text)


def names(text: str, draw: random.Random) -> str:
    """Every capitalised word inside a sentence gets another name."""
    found = sorted({name for name in _NAME.findall(text) if name not in _NOT_NAMES})
    for name, other in zip(found, draw.sample(NAMES, min(len(found), len(NAMES))), strict=False):
        text = re.sub(rf"\b{name}\b", other, text)
    return text


def instruction(text: str, draw: random.Random) -> str:
    return text + SUFFIX


def exact(text: str, draw: random.Random) -> str:
    return text


# kind -> (disguise of the training side, disguise of the evaluation side)
Disguise = Callable[[str, random.Random], str]
KINDS: dict[str, tuple[Disguise, Disguise]] = {
    "exact": (exact, exact),
    "spaced": (spaced, exact),
    "latex": (latex, exact),
    "unicode": (unicode, exact),
    "words": (words, exact),
    "names": (names, exact),
    "instruction in training": (instruction, exact),
    "instruction in evaluation": (exact, instruction),
    "instruction in both": (instruction, instruction),
}


def changed(kind: str, problems: Sequence[Problem], seed: int) -> list[tuple[Problem, Problem]]:
    """(training twin, evaluation problem) for every problem that the disguise changes."""
    draw = random.Random(f"{seed} {kind}")
    train, evaluation = KINDS[kind]
    pairs = []
    for number, problem in enumerate(problems):
        twin = Problem(f"planted-{number}", train(problem.text, draw), problem.gold)
        pairs.append((twin, Problem(problem.id, evaluation(problem.text, draw), problem.gold)))
    if kind in ("words", "names"):
        return [pair for pair in pairs if pair[0].text != pair[1].text]
    return pairs


def recall(kind: str, problems: Sequence[Problem], seed: int, foreign: Sequence[Problem] = ()) -> tuple[int, int]:
    """(found, planted) of a kind. The twins lie among ``foreign`` training problems, which are not disguised."""
    pairs = changed(kind, problems, seed)
    evaluation = {problem.id: problem for problem in problems} | {problem.id: problem for _, problem in pairs}
    mixed = [twin for twin, _ in pairs] + list(foreign)
    found = {overlap.problem.id for overlap in overlaps(mixed, list(evaluation.values()))}
    return sum(twin.id in found for twin, _ in pairs), len(pairs)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data.planted_duplicates", description=__doc__)
    parser.add_argument("evaluation", type=Path)
    parser.add_argument("--train", type=Path, help="a training set, whose flagged problems are counted")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    problems = read_problems(options.evaluation)
    train = read_evaluation(options.train) if options.train else []
    for kind in KINDS:
        found, planted = recall(kind, problems, options.seed, train)
        print(json.dumps({"kind": kind, "recall": round(found / max(1, planted), 4), "planted": planted}))
    if train:
        print(json.dumps({"flagged": len(overlaps(train, problems)), "of": len(train)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
