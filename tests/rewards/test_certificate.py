"""The coverage certificate: what a token is changed to is paid only where a row of the policy says so.

For every paid row of the policy table and for further pairs, each token is deleted and each of 60 intruders is inserted
at each position. What is still paid must belong to one of the rules below. Every rule is a row of the policy table in
docs/rewards.md.
"""

from __future__ import annotations

import re

import pytest

from rewards.comparison.compare import compare
from rewards.comparison.tokens import tokenize
from rewards.comparison.units import SHORT_LETTERS
from rewards.types import Reason
from rewards.wordlists import words
from tests.rewards.test_policy import ROWS

PAIRS = [
    ("7", "7"),
    ("-12.5", "-12.5"),
    (r"\frac{3}{4}", r"\frac{3}{4}"),
    (r"2\sqrt{3}", r"\sqrt{12}"),
    (r"9\pi\text{ cm}^2", r"9\pi\text{ cm}^2"),
    ("x^2+2x+1", "(x+1)^2"),
    ("(1,2)", "(1,2)"),
    (r"\{1,2,3\}", r"\{3,2,1\}"),
    ("[0,1)", "[0,1)"),
    (r"(-\infty,3]\cup[5,\infty)", r"x\le 3\text{ or }x\ge 5"),
    (r"n\equiv 3\pmod 7", r"n\equiv 3 \pmod{7}"),
    (r"\text{Evelyn}", r"\text{evelyn}"),
    ("BAC", "BAC"),
    ("B", r"\textbf{(B)}"),
    ("50\\%", "50\\%"),
    ("3:45\\text{ pm}", r"\text{3:45 p.m.}"),
    ("1101_2", "(1101)_2"),
    ("x=7", "x=7"),
    ("7", "3+4=7"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{bmatrix}1&2\\3&4\end{bmatrix}"),
    ("2x+3y=6", "3y+2x=6"),
    (r"2\mathbf{i}+3\mathbf{j}", r"2\vec{i}+3\vec{j}"),
    (r"5\text{ ft }3\text{ in}", r"5\text{ ft }3\text{ in}"),
]
PAIRS += [(gold, answer) for gold, answer, reason in ROWS if reason is Reason.CORRECT]
WORDS = ("not", "or", "and", "thirds", "is wrong", "million", "cm", "squared", "minus", "apples")
COMMANDS = words("pm sqrt frac pi infty cdot times cup le ne approx sin ln sum foo circ")
INTRUDERS = (
    *words("7 0 1 x y A + - * / ^ _ = < > ! % ( ) [ ] { } , ; : | ' . & or maybe"),
    *(rf"\text{{ {word} }}" for word in WORDS),
    *(rf"\{name} " for name in COMMANDS),
    r"\%",
    r"\$",
)

PUNCTUATION = frozenset(".,;:'!-")
GROUPING = frozenset("{}()[]|")
# What the policy lets an answer leave out, by the row that says so.
LEFT_OUT = {
    "a unit or its prefix sign may be left out": ("meters", r"\mu"),
    "a currency may be left out": (r"\$",),
    "the name in front and its sign are free": ("x", "=", "P", r"\#"),
    "the text of a choice, and its label, may be left out": ("12", "Paris", "Option"),
    "words that say the same": ("solutions", "on"),
    "layout prints nothing": ("$", r"\,", r"\mathbf"),
}
UNIT = re.compile(r"\\text\{ (?:cm|squared) \}|\\\$|\\%|%|A")


def variants(answer: str):
    tokens = [token.text for token in tokenize(answer)]
    for at in range(len(tokens) + 1):
        for intruder in INTRUDERS:
            yield intruder, "".join([*tokens[:at], intruder, *tokens[at:]])
        if at < len(tokens) and not tokens[at].isspace():
            yield f"no {tokens[at]}", "".join(tokens[:at] + tokens[at + 1 :])


def rule(gold: str, answer: str, change: str, variant: str) -> str:
    """The policy row that pays for a variant, or an empty string."""
    deleted = change.removeprefix("no ") if change.startswith("no ") else ""
    if re.sub(r"[\s.,;]+$", "", variant) == re.sub(r"[\s.,;]+$", "", answer):
        return "closing punctuation prints nothing"
    if variant.startswith("C=") and variant.endswith(r"=2\pi\cdot 5=10\pi"):
        return "a formula behind a name claims no number"
    if change == "+" or deleted == "+":
        return "a plus sign in front changes nothing"
    if change in ("=", r"\approx ") or variant.startswith("="):
        return "a leading equals or approximation sign"
    if change == "0":
        return "leading and trailing zeros"
    if change in ("1", "*", r"\cdot ", r"\times ", "/", "!", "-", "7", "x", "y", ")") and _same_value(gold, variant):
        return "equal in value"
    if UNIT.fullmatch(change) or deleted.strip("{}\\ ") in ("cm", "text", "%", "pm", "p", "m", ""):
        return "a unit, percent sign, half of the day or base may be left out or added"
    if deleted in (r"\text", r"\textbf", r"\vec", r"\pmod", "(", ")", "p.", ".") or change in GROUPING:
        return "wrappers and brackets that print nothing"
    if change in ("or", r"\text{ or }", r"\text{ and }", r"\text{ and }", ";", ",") or deleted in (",", r"\text"):
        return "members of a list may be joined by words"
    inside = "punctuation inside words" if change in PUNCTUATION or deleted in PUNCTUATION else ""
    return next((row for row, tokens in LEFT_OUT.items() if deleted in tokens), inside)


def _same_value(gold: str, variant: str) -> bool:
    """Whether the second grader, which shares no code, finds the variant equal as well, or has no view."""
    from rewards.auditing.second_grader import second_opinion

    return second_opinion(gold=gold, answer=variant) is not False


@pytest.mark.parametrize(("gold", "answer"), PAIRS, ids=range(len(PAIRS)))
def test_every_paid_variant_has_a_row_in_the_policy(gold, answer):
    assert compare(gold=gold, answer=answer).score == 1.0
    unexplained = [
        (change, variant)
        for change, variant in variants(answer)
        if compare(gold=gold, answer=variant).score and not rule(gold, answer, change, variant)
    ]
    assert unexplained == []


@pytest.mark.parametrize("word", ["not", "is wrong", "thirds", "minus", "apples", "million", "maybe", "squared"])
@pytest.mark.parametrize("gold", ["7", r"\sqrt{5}", "x+1", "(1,2)", r"\text{odd}", "B"])
def test_a_word_that_changes_the_answer_is_never_paid(gold, word):
    for answer in (rf"{gold} \text{{ {word}}}", rf"\text{{{word} }} {gold}"):
        assert compare(gold=gold, answer=answer).score == 0.0


def test_there_are_60_intruders():
    assert len(set(INTRUDERS)) == 60


def test_letters_for_units_are_few():
    assert set("mgshL") == SHORT_LETTERS
