"""Exact numbers against a naive twin, and the second grader against Python's own arithmetic."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest

from rewards.auditing.floating_point import CannotRead, value
from rewards.auditing.second_grader import second_opinion
from rewards.comparison.answer_reader import read
from rewards.comparison.compare import compare
from rewards.comparison.normal_form import normal_form
from rewards.comparison.numerals import TooLarge
from rewards.comparison.tree import Quantity, Uncovered


def exact(text: str) -> Fraction | None:
    """The rational number that a text is, or None."""
    try:
        node = read(text).node
        return normal_form(node.scalar).constant() if isinstance(node, Quantity) else None
    except (TooLarge, Uncovered):
        return None


@pytest.mark.parametrize("digits", [1, 2, 6, 15, 16, 40])
def test_whole_numbers_are_decided_as_by_the_reader(digits):
    rng = random.Random(digits)
    numbers = [str(rng.choice((-1, 1)) * rng.randrange(10**digits)) for _ in range(40)]
    for gold, answer in zip(numbers, [*numbers[1:], "0"], strict=True):
        for text in (answer, gold, gold.lstrip("-"), f"-{gold}", f"0{gold}", f"{gold}0"):
            # A space in front changes nothing, and keeps the texts from the short way.
            long_way = compare(gold=f" {gold}", answer=f"  {text}")
            assert compare(gold=gold, answer=text) == long_way


def _random_arithmetic(rng: random.Random, depth: int) -> tuple[str, str]:
    """The same expression in LaTeX and in Python over Fractions."""
    if depth == 0 or rng.random() < 0.3:
        number = rng.choice([str(rng.randrange(1, 2000)), f"{rng.randrange(100)}.{rng.randrange(100):02d}"])
        return number, f"Fraction('{number}')"
    (left, left_py), (right, right_py) = (_random_arithmetic(rng, depth - 1) for _ in range(2))
    return rng.choice(
        [
            (f"({left}+{right})", f"({left_py}+{right_py})"),
            (f"({left} - {right})", f"({left_py}-{right_py})"),
            (f"{left} \\times {right}", f"{left_py}*{right_py}"),
            (f"\\frac{{{left}}}{{{right}}}", f"({left_py})/({right_py})"),
            (f"-({left})", f"(-({left_py}))"),
        ]
    )


@pytest.mark.parametrize("seed", range(300))
def test_plain_arithmetic_equals_pythons(seed):
    latex, python = _random_arithmetic(random.Random(seed), 4)
    try:
        expected = eval(python, {"Fraction": Fraction})
    except ZeroDivisionError:
        expected = None
    assert exact(latex) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,234", Fraction(1234)),
        ("12,34", None),
        ("0,111", None),
        ("1,2345", None),
        ("(1,234)", None),
        ("1 234", Fraction(1234)),
        ("2 3", None),
        ("\\frac12", Fraction(1, 2)),
        ("\\frac345", None),
        ("3\\frac{1}{2}", Fraction(7, 2)),
        ("-3\\frac{1}{2}", Fraction(-7, 2)),
        ("3\\frac{7}{2}", None),
        ("1/2/3", Fraction(1, 6)),
        ("\\frac{1}{0}", None),
        ("1e9999", None),
        ("1.5e3", Fraction(1500)),
        ("2^3", Fraction(8)),
        ("7!", Fraction(5040)),
        ("\\log_2 8", Fraction(3)),
        ("0.1\\overline{6}", Fraction(1, 6)),
        ("(10^8)!", None),
        ("٧", None),
        ("", None),
        ("(" * 100 + "1" + ")" * 100, None),
    ],
)
def test_numeral_grammar(text, expected):
    assert exact(text) == expected


@pytest.mark.parametrize(
    ("decimal", "equal"), [("0.666667", True), ("0.666666", True), ("0.666668", False), ("0.66667", False)]
)
def test_a_decimal_stands_for_a_fraction_when_rounded_or_cut_at_the_sixth_digit(decimal, equal):
    assert bool(compare(gold="2/3", answer=decimal).score) is equal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2\\sqrt{3}", 2 * math.sqrt(3)),
        ("\\sqrt[3]{-8}", -2),
        ("-2^2", -4),
        ("2^{-1}", 0.5),
        ("2^3x", 8),
        ("3x(x+1)", 6),
        ("|x-3|", 2),
        ("\\log_2 8", 3),
        ("\\ln e^2", 2),
        ("\\sin^2 x+\\cos^2 x", 1),
        ("\\frac{\\frac{1}{2}}{3}", 1 / 6),
        ("e^{i\\pi}", -1),
        ("10^{-3}", 1e-3),
    ],
)
def test_floating_point_value(text, expected):
    assert abs(value(text, {"x": 1.0}) - expected) < 1e-12


@pytest.mark.parametrize("text", ["", "1/0", "10^{999}", "\\foo", "x", "(1", "1)", "(" * 500, "0^{-1}", "\\infty"])
def test_what_has_no_value_cannot_be_read(text):
    with pytest.raises(CannotRead):
        value(text, {})


@pytest.mark.parametrize(
    ("gold", "answer", "opinion"),
    [
        ("7", "7.0", True),
        ("7", "8", False),
        ("x^2+2x+1", "(x+1)^2", True),
        ("f(x)", "f(y)", False),
        ("\\{1,2\\}", "2, 1", True),
        ("(1,2)", "(2,1)", False),
        ("[0,1)", "[0,1]", False),
        ("\\text{Evelyn}", "evelyn", True),
        ("1,234", "1234", True),
        ("918\\frac{1}{2}", "918.5", True),
        ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "7", None),
    ],
)
def test_second_opinion(gold, answer, opinion):
    assert second_opinion(gold=gold, answer=answer) is opinion
