"""The quick refutation may only speak where it is sure: never against equals, and silent about what it cannot read."""

from __future__ import annotations

import random

import pytest
from rewards.comparison.normalise import clean
from rewards.comparison.refute import surely_different

EQUAL = [
    ("2\\sqrt{3}", "\\sqrt{12}"),
    ("x^2+2x+1", "(x+1)^2"),
    ("\\frac{x}{2}", "0.5x"),
    ("\\sqrt[3]{8}x", "2x"),
    ("(a, b, \\sqrt{4c})", "(a,b,2\\sqrt{c})"),
    ("\\{a, b\\}", "\\{b, a\\}"),
    ("12\\pi", "37.699112"),
    ("\\frac{1}{\\sqrt 2}", "\\frac{\\sqrt2}{2}"),
    ("10^{-3}y", "0.001y"),
    ("ab", "ba"),
]
SILENT = [
    ("e", "i"),
    ("\\sin x", "\\cos x"),
    ("1/2x", "x"),
    ("x^10", "x"),
    ("2\\frac{x}{3}", "x"),
    ("x \\pm 1", "x"),
    ("|x|", "-x"),
    ("\\text{abc}", "x"),
    ("(1,x)", "[1,x]"),
    ("x=1", "x=2"),
    ("x^{999}", "x"),
    ("\\sqrt{-x}", "x"),
]
DIFFERENT = [
    ("x^2+2x+1", "x^2+2x-1"),
    ("2\\sqrt{3}", "2\\sqrt{5}"),
    ("(x,y)", "(y,x)"),
    ("x,y", "x,z"),
    ("12\\pi", "37.5"),
]


@pytest.mark.parametrize(("gold", "answer"), EQUAL + SILENT)
def test_it_does_not_speak(gold, answer):
    assert not surely_different(clean(gold), clean(answer))


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_it_refutes(gold, answer):
    assert surely_different(clean(gold), clean(answer))


@pytest.mark.parametrize("seed", range(100))
def test_expanded_products_are_never_refuted(seed):
    rng = random.Random(seed)
    a, b, c, d = (rng.randrange(-9, 10) for _ in range(4))
    product = f"({a}x+{b})({c}y+{d})".replace("+-", "-")
    terms = f"{a * c}xy+{a * d}x+{b * c}y+{b * d}".replace("+-", "-")
    assert not surely_different(product, terms)
