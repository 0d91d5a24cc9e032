"""Integrals, derivatives and formulas beside a box, against values found in another way."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from itertools import product

import pytest

from rewards.comparison.answer_reader import read
from rewards.comparison.compare import compare_quick
from rewards.comparison.finite_sums import written_out
from rewards.comparison.tree import Num, Quantity
from rewards.extraction.extract import final_answer


@pytest.mark.parametrize(("low", "high", "power"), [(0, 1, 1), (0, 2, 2), (1, 3, 3)])
def test_an_integral_of_a_power_is_the_limit_of_its_sums(low, high, power):
    node = read(rf"\int_{{{low}}}^{{{high}}} x^{{{power}}}\,dx").node
    assert isinstance(node, Quantity)
    value = written_out(node.scalar)
    assert isinstance(value, Num)
    steps = 2000
    width = Fraction(high - low, steps)
    middle = sum((low + width * (2 * step + 1) / 2) ** power for step in range(steps)) * width
    assert abs(float(middle - value.value)) < 1e-5


BOUNDS = {"-7": -7, "-1": -1, "0": 0, "1": 1, "9": 9, r"\frac{3}{2}": Fraction(3, 2), r"\frac{1}{12}": Fraction(1, 12)}


def nested(power: int, depth: int) -> str:
    """x to the power, to the power again, and so on."""
    text = "x"
    for _ in range(depth):
        text = f"({text})^{{{power}}}"
    return text


@pytest.mark.parametrize(("power", "depth"), [(1, 1), (2, 1), (3, 2), (2, 3), (1, 12)])
def test_an_integral_of_nested_powers_is_its_value_between_any_bounds(power, depth):
    for low, high in product(BOUNDS, repeat=2):
        node = read(rf"\int_{{{low}}}^{{{high}}} {nested(power, depth)}\,dx").node
        assert isinstance(node, Quantity)
        up = power**depth + 1
        assert written_out(node.scalar) == Num(Fraction(BOUNDS[high] ** up - BOUNDS[low] ** up) / up)


IN_A_PROCESS = """
import json, sys
from rewards.comparison.compare import compare_quick
results = [compare_quick(gold="7", answer=answer) for answer in json.load(sys.stdin)]
print(json.dumps([result and str(result.reason) for result in results]))
"""


def test_an_integral_of_any_power_ends_soon_in_the_caller():
    cases = list(product(BOUNDS, BOUNDS, [(1000, 1), (1000, 4), (37, 12)]))
    answers = [rf"\int_{{{low}}}^{{{high}}} {nested(*power)}\,dx=7" for low, high, power in cases]
    # Only a process of its own can be ended while one power is computed.
    done = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS], input=json.dumps(answers), capture_output=True, text=True, timeout=60
    )
    grow = [abs(BOUNDS[low]) not in (0, 1) or abs(BOUNDS[high]) not in (0, 1) for low, high, _ in cases]
    assert json.loads(done.stdout) == ["too_complex" if grows else "wrong" for grows in grow]


@pytest.mark.parametrize(
    ("gold", "answer", "paid"),
    [
        ("3x^2", r"\frac{d}{dx}x^3=3x^2", True),
        ("3x^2", r"\frac{d}{dx}x^2=3x^2", False),
        ("7", r"2x=14\Rightarrow x=7", True),
        ("7", r"2x=15\Rightarrow x=7", False),
        (r"10\pi", r"C=2\pi r=2\pi\cdot 5=10\pi", True),
        (r"10\pi", r"C=2\pi r=2\pi\cdot 6=10\pi", False),
    ],
)
def test_a_chain_is_paid_if_its_links_hold(gold, answer, paid):
    result = compare_quick(gold=gold, answer=answer)
    assert result is not None and bool(result.score) is paid


@pytest.mark.parametrize(
    "formula",
    [r"$-\boxed{7}$", r"$\frac{1}{\boxed{7}}$", r"$\boxed{7}^2$", r"$\boxed{7}!$", r"\boxed{7} + 1", r"-\boxed{7}"],
)
def test_a_box_hides_nothing_of_its_formula(formula):
    assert final_answer(formula).answer != "7"


@pytest.mark.parametrize("formula", [r"$x=\boxed{7}$", r"Answer - \boxed{7}", r"- \boxed{7}", r"It is \boxed{7}!"])
def test_text_around_a_box_changes_nothing(formula):
    assert final_answer(formula).answer == "7"
