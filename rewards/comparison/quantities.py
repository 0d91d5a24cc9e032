"""Exact numbers as answers carry them: with a unit, a currency sign, a base, or as a ratio."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from rewards.comparison.exact_numbers import Numeral, read_numeral, same_number
from rewards.comparison.units import same_unit, split_unit

_BASE = re.compile(r"(?:\\text\s*\{)?(?P<digits>-?[0-9A-F]+)\}?\s*_\s*\{?\s*(?P<base>[0-9]{1,2})\s*\}?", re.ASCII)
_RATIO = re.compile(r"[0-9]{1,18}(?:\s*:\s*[0-9]{1,18})+", re.ASCII)


@dataclass(frozen=True)
class Quantity:
    """A number and how it was written: ``unit`` is canonical or empty; ``digits`` and ``base`` belong together."""

    number: Numeral
    unit: str = ""
    digits: str = ""
    base: int = 10


def read_quantity(text: str) -> Quantity | None:
    """The exact quantity that cleaned text is, or None."""
    number = read_numeral(text)
    if number is not None:
        return Quantity(number)
    if match := _BASE.fullmatch(text):
        return _in_base(match["digits"], int(match["base"]))
    value, unit, factor = split_unit(text)
    number = read_numeral(value) if value != text else None
    if number is None:
        return None
    return Quantity(number if factor == 1 else Numeral(number.value * factor), unit)


def _in_base(digits: str, base: int) -> Quantity | None:
    if not 2 <= base <= 16 or len(digits) > 100 or any(int(digit, 16) >= base for digit in digits.lstrip("-")):
        return None
    number = Numeral(Fraction(int(digits, base)))
    return Quantity(number) if base == 10 else Quantity(number, "", digits, base)


def same_quantity(gold: Quantity, answer: Quantity) -> bool:
    """Equal numbers whose units, if both have one, agree.

    To a gold in base b the same digits are right with or without the base; a number in another base than the
    gold's is a conversion left undone.
    """
    if gold.base != 10 or answer.base != 10:
        written = answer.digits or str(answer.number.value)
        return gold.digits == written and answer.base in (10, gold.base)
    return same_number(gold.number, answer.number) and same_unit(gold.unit, answer.unit)


def read_ratio(text: str) -> tuple[int, ...] | None:
    """``3 : 2`` (or a time of day, ``12:30``) as its members, else None."""
    return tuple(int(part) for part in text.split(":")) if _RATIO.fullmatch(text) else None
