r"""Exact numbers: integers, decimals, fractions, percentages, mixed numbers and plain arithmetic on them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from rewards.comparison.exact_arithmetic import Arithmetic

_DIGITS_LIMIT = 400
_EXPONENT_LIMIT = 400

_PLAIN = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_SCIENTIFIC = re.compile(
    r"(?P<mantissa>[+-]?[0-9](?:\.[0-9]*)?)\s*(?:(?:\\times|\\cdot|\*)\s*10\s*\^\s*(?:\{\s*(?P<braced>[+-]?[0-9]+)\s*\}"
    r"|(?P<bare>[0-9]))|[eE](?P<e>[+-]?[0-9]+))",
    re.ASCII,
)
_REPEATING = re.compile(r"([+-]?)([0-9]*)\.([0-9]*)\\overline\s*\{\s*([0-9]+)\s*\}", re.ASCII)


@dataclass(frozen=True)
class Numeral:
    """An exact value; ``percent`` means that ``value`` was written as 100 times that with a percent sign.

    ``digits`` counts the significant digits where the number is written as one decimal, else it is None.
    """

    value: Fraction
    percent: bool = False
    digits: int | None = None


def read_numeral(text: str) -> Numeral | None:
    """Exact value of cleaned text, or None if it is anything but numerals under + - x / and parentheses."""
    if _PLAIN.fullmatch(text):
        return Numeral(Fraction(int(text)))
    percent = text.endswith("%")
    body = text[:-1].rstrip() if percent else text
    if not body or sum(map(str.isdigit, body)) > _DIGITS_LIMIT or ("," in body and "(" in body):
        return None  # "(1,234)" is a pair
    value = next((value for read in (_scientific, _repeating, _arithmetic) if (value := read(body)) is not None), None)
    if value is None:
        return None
    return Numeral(value / 100 if percent else value, percent, _significant(body))


def _scientific(text: str) -> Fraction | None:
    match = _SCIENTIFIC.fullmatch(text)
    if match is None:
        return None
    exponent = int(match["braced"] or match["bare"] or match["e"])
    return Fraction(match["mantissa"]) * Fraction(10) ** exponent if abs(exponent) <= _EXPONENT_LIMIT else None


def _repeating(text: str) -> Fraction | None:
    match = _REPEATING.fullmatch(text)
    if match is None:
        return None
    sign, whole, start, period = match.groups()
    value = Fraction(f"{whole or 0}.{start or 0}") + Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(start))
    return -value if sign == "-" else value


def _arithmetic(text: str) -> Fraction | None:
    value = Arithmetic(text).value()
    return value if isinstance(value, Fraction) else None


def _significant(body: str) -> int | None:
    if "." not in body or not re.fullmatch(r"[+-]?[0-9,]*\.[0-9]+", body, re.ASCII):
        return None
    return len(body.lstrip("+-").replace(",", "").replace(".", "").lstrip("0"))


def same_number(first: Numeral, second: Numeral) -> bool:
    """Exact equality, with two concessions that the policy table states.

    A percent sign on one side only may be an implied unit (50% and 50) from 1 on upward. A decimal of at least six
    significant digits stands for the fraction that rounds to it.
    """
    if first.value == second.value:
        return True
    if first.percent != second.percent:
        bare, signed = (second, first) if first.percent else (first, second)
        return bare.value == signed.value * 100 and abs(bare.value) >= 1
    return _rounds_to(first, second) or _rounds_to(second, first)


def _rounds_to(decimal: Numeral, other: Numeral) -> bool:
    if decimal.digits is None or decimal.digits < 6 or other.digits is not None:
        return False
    # A denominator of 2s and 5s means that the decimal could have been exact, so being near is being wrong.
    rest = other.value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest == 1 or decimal.value == 0:
        return False
    unit = Fraction(1)
    while decimal.value % unit:
        unit /= 10
    return abs(decimal.value - other.value) <= unit / 2
