"""Paid pairs, and each change of their answers by one token: deleted, or one of 60 intruders inserted.

The pairs are the paid rows of the policy and the right rows of the own sets. ``benchmarks.rewards_certificate`` says
which changes are still paid without a row of the policy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.rewards_table import read_rows
from rewards.comparison.compare import compare, compare_quick
from rewards.comparison.tokens import tokenize
from rewards.extraction.extract import final_answer
from rewards.wordlists import words

ROOT = Path(__file__).parents[1]
SETS = ROOT / "tests" / "rewards" / "sets"
SET_NAMES = ("completions", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_ROW = re.compile(r"^\|[^|]*\| `(?P<gold>.+?)` \| `(?P<answer>.+?)` \| correct \|$", re.MULTILINE)
_WORDS = ("not", "or", "and", "thirds", "is wrong", "million", "cm", "squared", "minus", "apples")
_COMMANDS = words("pm sqrt frac pi infty cdot times cup le ne approx sin ln sum foo circ")
INTRUDERS = (
    *words("7 0 1 x y A + - * / ^ _ = < > ! % ( ) [ ] { } , ; : | ' . & or maybe"),
    *(rf"\text{{ {word} }}" for word in _WORDS),
    *(rf"\{name} " for name in _COMMANDS),
    r"\%",
    r"\$",
)


@dataclass(frozen=True)
class Pair:
    """A gold and an answer that is paid for it."""

    gold: str
    answer: str
    problem: str = ""


@dataclass(frozen=True)
class Change:
    """An answer cut into tokens, and the same with one token deleted or one intruder inserted."""

    pair: Pair
    before: str
    inserted: str
    deleted: str
    after: str

    @property
    def text(self) -> str:
        return self.before + self.inserted + self.after

    def paid(self) -> bool:
        return is_paid(self.pair, self.text)


def is_paid(pair: Pair, answer: str) -> bool:
    quick = compare_quick(gold=pair.gold, answer=answer, problem_text=pair.problem)
    return (quick or compare(gold=pair.gold, answer=answer, problem_text=pair.problem)).score == 1.0


def changes(pair: Pair) -> Iterator[Change]:
    tokens = [token.text for token in tokenize(pair.answer)]
    for at in range(len(tokens) + 1):
        before, after = "".join(tokens[:at]), "".join(tokens[at:])
        for intruder in INTRUDERS:
            yield Change(pair, before, intruder, "", after)
        if at < len(tokens) and not tokens[at].isspace():
            yield Change(pair, before, "", tokens[at], "".join(tokens[at + 1 :]))


def policy_pairs() -> list[Pair]:
    text = (ROOT / "docs" / "rewards.md").read_text(encoding="utf-8")
    return [Pair(row["gold"], row["answer"]) for row in _ROW.finditer(text)]


def set_pairs(names: Sequence[str] = SET_NAMES) -> list[Pair]:
    """The right rows of the own sets, without repetition."""
    found = {}
    for name in names:
        for row in read_rows(SETS / f"{name}.jsonl"):
            if not row["expected"]:
                continue
            problem = row.get("problem", "")
            answer = final_answer(row["completion"], mode=row["mode"], problem_text=problem).answer
            if answer is not None:
                found[Pair(row["gold"], answer, problem)] = None
    return list(found)


@cache
def all_pairs() -> tuple[Pair, ...]:
    return tuple(dict.fromkeys([*policy_pairs(), *set_pairs()]))
