"""Functions whose value at rational arguments is a rational number."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

from rewards.comparison.numerals import TooLarge

# The factorial of 1000 has 2,568 digits.
_LARGEST = 1000


def evaluated(name: str, values: Sequence[Fraction]) -> Fraction | None:
    """The rational value of the function at rational arguments, or None where it has none.

    Raises:
        TooLarge: factorials and binomials of numbers over a thousand.
    """
    function = _FUNCTIONS.get(name)
    return None if function is None else function(values)


def _whole(value: Fraction) -> int | None:
    if value.denominator != 1 or value < 0:
        return None
    if value > _LARGEST:
        raise TooLarge("factorial")
    return int(value)


def _factorial(values: Sequence[Fraction]) -> Fraction | None:
    number = _whole(values[0])
    return None if number is None else Fraction(math.factorial(number))


def _binomial(values: Sequence[Fraction]) -> Fraction | None:
    if len(values) != 2:
        return None
    top, bottom = map(_whole, values)
    return None if top is None or bottom is None else Fraction(math.comb(top, bottom))


def _of_integers(function: Callable[..., int]) -> Callable[[Sequence[Fraction]], Fraction | None]:
    def apply(values: Sequence[Fraction]) -> Fraction | None:
        if any(value.denominator != 1 for value in values):
            return None
        return Fraction(function(*(int(value) for value in values)))

    return apply


def _logarithm(values: Sequence[Fraction]) -> Fraction | None:
    """Only the whole logarithms; all others are irrational or left alone."""
    if len(values) != 2 or values[0] <= 0 or values[1] <= 1 or values[1].denominator != 1:
        return None
    # Floats end near 10**308. The rounded power is a proposal, and exact arithmetic decides.
    power = round(math.log(values[0]) / math.log(values[1])) if values[0] < 10**300 else 0
    return Fraction(power) if power and Fraction(values[1]) ** power == values[0] else None


_FUNCTIONS: dict[str, Callable[[Sequence[Fraction]], Fraction | None]] = {
    "factorial": _factorial,
    "binom": _binomial,
    "abs": lambda values: abs(values[0]),
    "floor": lambda values: Fraction(math.floor(values[0])),
    "ceil": lambda values: Fraction(math.ceil(values[0])),
    "max": lambda values: max(values),
    "min": lambda values: min(values),
    "gcd": _of_integers(math.gcd),
    "lcm": _of_integers(math.lcm),
    "log": _logarithm,
}
