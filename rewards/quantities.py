"""Exact numbers as answers carry them: with a unit, a currency sign, a base, or as a ratio."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from rewards.numerals import Numeral, read_numeral, same_number

_HEDGES = {"or", "and", "not", "no", "maybe", "perhaps", "possibly", "either", "approximately", "about", "wrong"}
_SAME_UNIT = {
    name: group[0]
    for group in (
        ("m", "meter", "metre"),
        ("cm", "centimeter", "centimetre"),
        ("mm", "millimeter", "millimetre"),
        ("km", "kilometer", "kilometre"),
        ("in", "inch", "inche"),
        ("ft", "foot", "feet"),
        ("s", "sec", "second"),
        ("min", "minute"),
        ("h", "hr", "hour"),
        ("g", "gram"),
        ("kg", "kilogram"),
        ("l", "liter", "litre"),
        ("degree", "deg", r"^\circ"),
        ("dollar", "usd", "$"),
        ("unit", "sq unit", "square unit", "cubic unit"),
    )
    for name in group
}
_PLAIN_UNIT = (
    r"(?:sq\.?\s+|square\s+|cubic\s+)?(?:[ckm]m|meters?|metres?|centimeters?|kilometers?|inch(?:es)?|feet|foot|ft|yards?|miles?"
    r"|mph|kg|grams?|pounds?|liters?|litres?|gallons?|seconds?|minutes?|hours?|days?|weeks?|months?|years?|dollars?"
    r"|cents?|degrees?|units?|people|students|ways|points?|times)"
)
_UNIT = re.compile(
    r"(?P<number>.*[0-9})%])\s*(?P<unit>(?:\\(?:text|textbf|textrm|textnormal|mathrm|mbox|operatorname)\s*\{\s*(?P<text>[^{}]*)\}"
    rf"(?:\s*\^\s*\{{?[23]\}}?)?|\^\s*\{{?\s*\\circ\s*\}}?(?:\s*[CF])?|(?P<plain>{_PLAIN_UNIT})(?:\s*\^\s*\{{?[23]\}}?)?))",
    re.DOTALL,
)
_CURRENCY = re.compile(r"^([-+]?)\s*(?:\\\$|\$|€|£|\\pounds|\\euro|US\\\$)\s*(?=[-+]?(?:[0-9.]|\\frac))")
_CURRENCY_AFTER = re.compile(r"(?<=[0-9])\s*(?:\\\$|\$|€|£)$")
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
    value, unit = split_unit(text)
    number = read_numeral(value) if value != text else None
    return Quantity(number, unit) if number is not None else None


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
    return same_number(gold.number, answer.number) and (not gold.unit or not answer.unit or gold.unit == answer.unit)


def read_ratio(text: str) -> tuple[int, ...] | None:
    """``3 : 2`` (or a time of day, ``12:30``) as its members, else None."""
    return tuple(int(part) for part in text.split(":")) if _RATIO.fullmatch(text) else None


def split_unit(text: str) -> tuple[str, str]:
    """``(number, unit)``; the unit is canonical and empty where there is none. Hedging words are no unit."""
    without = _CURRENCY_AFTER.sub("", _CURRENCY.sub(r"\1", text))
    match = _UNIT.fullmatch(without)
    if match is None:
        return without, "dollar" if without != text else ""
    words = re.findall(r"[a-z]+", (match["text"] or match["plain"] or "degree").casefold())
    if len(words) > 4 or _HEDGES & set(words) or re.search(r"[0-9=\\]", match["text"] or ""):
        return text, ""
    return match["number"].strip(), " ".join(_SAME_UNIT.get(_singular(word), _singular(word)) for word in words)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 2 and word.endswith("s") else word
