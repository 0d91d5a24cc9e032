"""Equality of expressions against naive twins: Python's own arithmetic, and sympy's reading of the same LaTeX."""

from __future__ import annotations

import json
import os
import random
from fractions import Fraction
from pathlib import Path

import mpmath
import pytest

from rewards.comparison.answer_reader import read
from rewards.comparison.equality import NeedsPrecision, same_scalar
from rewards.comparison.normal_form import normal_form
from rewards.comparison.numerals import TooLarge
from rewards.comparison.numeric import POINTS, Undefined, evaluate, point_values
from rewards.comparison.tree import Quantity, Uncovered, free_symbols

DATA = os.environ.get("JUDGERLVR_TEST_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="JUDGERLVR_TEST_DATA is not set")
NAMES = {"x": Fraction(13, 7), "y": Fraction(-5, 3), "t": Fraction(2, 9)}


def scalar(text: str):
    node = read(text).node
    assert isinstance(node, Quantity), text
    return node.scalar


def random_expression(rng: random.Random, depth: int) -> tuple[str, str]:
    """The same expression in LaTeX and in Python over Fractions."""
    if depth == 0 or rng.random() < 0.2:
        leaf = rng.choice([*NAMES, str(rng.randrange(1, 9))])
        return leaf, leaf if leaf in NAMES else f"Fraction({leaf})"
    (left, left_py), (right, right_py) = (random_expression(rng, depth - 1) for _ in range(2))
    power = rng.randrange(2, 4)
    return rng.choice(
        [
            (f"({left}+{right})", f"({left_py}+{right_py})"),
            (f"({left}-{right})", f"({left_py}-{right_py})"),
            (f"({left})({right})", f"({left_py})*({right_py})"),
            (f"{left} \\cdot {right}", f"{left_py}*{right_py}"),
            (f"\\frac{{{left}}}{{{right}}}", f"({left_py})/({right_py})"),
            (f"({left})^{{{power}}}", f"({left_py})**{power}"),
        ]
    )


@pytest.mark.parametrize("seed", range(200))
def test_values_equal_pythons(seed):
    latex, python = random_expression(random.Random(seed), 4)
    try:
        expected = eval(python, {"Fraction": Fraction, **NAMES})
        value = evaluate(scalar(latex), NAMES, mpmath.mp)
    except (ZeroDivisionError, Undefined):
        return
    assert abs(value - mpmath.mpf(expected.numerator) / expected.denominator) < 1e-9 * (1 + abs(value))


@pytest.mark.parametrize("seed", range(200))
def test_normal_forms_agree_with_values(seed):
    """Two random expressions are the same form exactly when Python finds them equal at three random points."""
    rng = random.Random(seed)
    pair = [random_expression(rng, 3) for _ in range(2)]
    points = [{name: Fraction(rng.randrange(1, 999), rng.randrange(1, 99)) for name in NAMES} for _ in range(3)]
    try:
        values = [[eval(python, {"Fraction": Fraction, **point}) for point in points] for _, python in pair]
        forms = [normal_form(scalar(latex)) for latex, _ in pair]
        equal = same_scalar(scalar(pair[0][0]), scalar(pair[1][0]), deep=True)
    except (ZeroDivisionError, TooLarge, Uncovered):
        return
    names = [free_symbols(scalar(latex)) for latex, _ in pair]
    assert equal == (values[0] == values[1] and names[0] == names[1]), forms


EQUAL = [
    (r"2\sqrt{3}", r"\sqrt{12}"),
    (r"x^2+2x+1", r"(x+1)^2"),
    (r"\frac{x}{2}", "0.5x"),
    (r"\frac{1}{\sqrt 2}", r"\frac{\sqrt2}{2}"),
    (r"10^{-3}y", "0.001y"),
    ("ab", "ba"),
    (r"2^{n+1}", r"2\cdot 2^n"),
    (r"4^n", r"2^{2n}"),
    (r"e^{-x}", r"\frac{1}{e^x}"),
    (r"\ln 8", r"3\ln 2"),
    (r"\sqrt{2+\sqrt{3}}", r"\frac{\sqrt{6}+\sqrt{2}}{2}"),
    (r"\sin 2x", r"2\sin x\cos x"),
    (r"\frac{x^2-1}{x-1}", "x+1"),
    (r"\sqrt[3]{-8}x", "-2x"),
    (r"\tan^{-1} x", r"\arctan x"),
    (r"\binom{n}{2}", r"\frac{n(n-1)}{2}"),
    (r"1^n+n", "1+n"),
]
DIFFERENT = [
    (r"\sqrt{x^2}", "x"),
    (r"1-\frac{1}{2^{100}}", r"1-\frac{1}{2^{101}}"),
    (r"\sqrt{10^{40}+1}", "10^{20}"),
    (r"\pi+10^{-300}", r"\pi"),
    (r"x+10^{-50}", "x"),
    (r"x\tanh(1000)", "x"),
    (r"\sin x", r"\cos x"),
    ("|x|", "x"),
    ("x", "X"),
    (r"\mathbf{x}", "x"),
    ("f'(x)", "f''(x)"),
    ("a_1", "a_2"),
    ("2^x", "1^x"),
    ("e^{x}", r"1^{\frac{x}{2}}"),
]


@pytest.mark.parametrize(("first", "second"), EQUAL)
def test_equal_expressions(first, second):
    assert same_scalar(scalar(first), scalar(second), deep=True)
    assert same_scalar(scalar(second), scalar(first), deep=True)


@pytest.mark.parametrize(("first", "second"), DIFFERENT)
def test_different_expressions(first, second):
    assert not same_scalar(scalar(f"{first}+0q+q"), scalar(f"{second}+0q+q"), deep=True)


def test_only_deep_comparison_spends_high_precision():
    with pytest.raises(NeedsPrecision):
        same_scalar(scalar(r"\sqrt{5+2\sqrt{6}}"), scalar(r"\sqrt{2}+\sqrt{3}"), deep=False)


@needs_data
def test_our_reading_of_math_golds_has_the_value_of_latex2sympys():
    """A second reader of the same LaTeX, symbols renamed: the twin of our scalar reader on real golds."""
    from latex2sympy2_extended import latex2sympy

    golds = [
        json.loads(line)["answer"] for line in (Path(DATA or "") / "eval" / "math500.jsonl").open(encoding="utf-8")
    ]
    compared, differ = 0, []
    for gold in golds:
        node = read(gold, trusted=True).node
        if not isinstance(node, Quantity) or node.unit or node.percent or "text" in gold or "," in gold:
            continue
        try:
            other = latex2sympy(gold, normalization_config=None)
        except Exception as error:
            # The twin raises the bare class for what the twin cannot read.
            if type(error) is not Exception:
                raise
            continue
        values = point_values(free_symbols(node), POINTS[0])
        try:
            ours = evaluate(node.scalar, values, mpmath.mp, complex_allowed=True)
            known = {symbol: values[str(symbol)] for symbol in other.free_symbols}
            theirs = complex(other.subs(known).evalf(30))
        except (Undefined, KeyError, TypeError, AttributeError):
            continue
        compared += 1
        if abs(complex(ours) - theirs) > 1e-9 * max(1.0, abs(theirs)):
            differ.append((gold, ours, theirs))
    assert compared > 300 and not differ, (compared, differ[:5])
