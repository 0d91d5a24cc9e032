r"""Numbers as answers carry them: with unit, currency or percent, one after the other, as time, ratio, date or base."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from rewards.comparison.items import Item
from rewards.comparison.scalar_reader import negative, read_scalar
from rewards.comparison.splitting import split
from rewards.comparison.tree import Add, Based, Compound, Digits, Mul, Num, Quantity, Scalar, Uncovered, free_symbols
from rewards.comparison.units import CURRENCY_SIGNS, MAGNITUDES, is_unit_item, read_unit

_CURRENCY_WORDS = {
    "rs": "rupee",
    "usd": "dollar",
    "inr": "rupee",
    "eur": "euro",
    "gbp": "£",
    "us": "",
    "cny": "yuan",
    "hk": "",
}
_PERCENT_WORDS = frozenset(("percent", "percentage", "pct"))
_BASE_WORDS = {
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "twelve": 12,
    "sixteen": 16,
}
_LARGEST_BASE = 36
_OF_ANGLES = frozenset(("sin", "cos", "tan", "cot", "sec", "csc"))
_MOST_UNIT_ITEMS = 14


def read_quantity(items: Sequence[Item], nouns: frozenset[str]) -> Quantity:
    """A scalar with at most one unit, currency or percent sign; raises ``Uncovered`` for anything else."""
    items, currency = _without_currency(items)
    if not items:
        raise Uncovered("currency alone")
    number, percent = _without_percent(items)
    if percent:
        return Quantity(read_scalar(number), percent=True)
    # The earliest cut wins, so that the unit is as long as the items allow.
    for end in range(max(1, len(items) - _MOST_UNIT_ITEMS), len(items)):
        found = _split_at(items, end, nouns)
        if found is not None:
            scalar, unit = found
            if currency and unit and unit not in (currency, "cent"):
                raise Uncovered(unit)
            return Quantity(scalar, currency or unit)
    if any(item.kind == "word" and item.text for item in items):
        raise Uncovered("words")
    return Quantity(read_scalar(items), currency)


def _split_at(items: Sequence[Item], end: int, nouns: frozenset[str]) -> tuple[Scalar, str] | None:
    """The scalar before ``end`` and the unit from there on, or None."""
    first = items[end]
    degrees = first.is_("^") and _is_degree_sign(items[end + 1 : end + 3])
    fraction = first.is_(r"\frac") and end + 2 < len(items) and is_unit_item(items[end + 2], nouns)
    if (degrees or first.is_(r"\circ*")) and any(item.value[1:] in _OF_ANGLES for item in items[:end]):
        return None  # the sign belongs to the angle, as in sin 30 degrees
    if not (degrees or fraction or is_unit_item(first, nouns)):
        return None
    factor, after = 1, end
    while after < len(items) and items[after].value.casefold() in MAGNITUDES and items[after].kind == "word":
        factor *= MAGNITUDES[items[after].value.casefold()]
        after += 1
    unit = read_unit(items[after:], nouns) if after < len(items) else ""
    if unit is None:
        return None
    try:
        scalar = read_scalar(items[:end])
    except Uncovered:
        return None
    # A word of magnitude belongs to a number, and not to a sum with symbols.
    if factor != 1 and free_symbols(scalar):
        return None
    # Beside other symbols an italic letter is a symbol too.
    if first.kind == "letter" and not first.text and not first.roman and free_symbols(scalar):
        return None
    return (scalar if factor == 1 else Mul((scalar, Num(Fraction(factor))))), unit


def _is_degree_sign(items: Sequence[Item]) -> bool:
    values = [item.value for item in items]
    return bool(values) and (values[0] in (r"\circ", "o") or values == ["{", r"\circ"])


def _without_currency(items: Sequence[Item]) -> tuple[Sequence[Item], str]:
    """A currency before the number, after its sign, is taken off: ``\\$5``, ``-\\$5``, ``Rs. 5``, ``US\\$5``."""
    sign = items[:1] if items[:1] and items[0].is_("-", "+") else ()
    rest = items[len(sign) :]
    currency = ""
    while rest:
        word = rest[0].value.casefold()
        letters = "".join(item.value for item in rest[:2]).casefold()
        if rest[0].is_(*CURRENCY_SIGNS):
            currency, rest = CURRENCY_SIGNS[rest[0].value], rest[1:]
        elif rest[0].kind == "word" and word in _CURRENCY_WORDS:
            currency, rest = currency or _CURRENCY_WORDS[word], rest[1:]
        elif all(item.kind == "letter" for item in rest[:2]) and letters in ("rs", "us"):
            currency, rest = currency or _CURRENCY_WORDS[letters], rest[2:]
        elif all(item.kind == "letter" for item in rest[:3]) and (code := _letters(rest[:3])) in _CURRENCY_WORDS:
            currency, rest = currency or _CURRENCY_WORDS[code], rest[3:]
        elif currency and rest[0].is_("."):
            rest = rest[1:]
        else:
            break
    return ([*sign, *rest], currency) if currency else (items, "")


def _letters(items: Sequence[Item]) -> str:
    return "".join(item.value for item in items).casefold()


def _without_percent(items: Sequence[Item]) -> tuple[Sequence[Item], bool]:
    last = items[-1]
    if last.value.casefold() == "cent" and items[-2:-1] and items[-2].value.casefold() == "per":
        return items[:-2], len(items) > 2
    if last.is_("%") or (last.kind == "word" and last.value.casefold() in _PERCENT_WORDS):
        return items[:-1], len(items) > 1
    return items, False


def read_compound(items: Sequence[Item], nouns: frozenset[str]) -> Compound:
    """Two or more quantities with units, one after the other: 5 ft 3 in, 2 hours and 5 minutes."""
    starts = [at for at in range(len(items)) if items[at].kind == "num" and (at == 0 or _ends_unit(items[at - 1]))]
    if len(starts) < 2 or starts[0] != 0:
        raise Uncovered("not compound")
    parts = [_without_and(items[start:end]) for start, end in zip(starts, [*starts[1:], len(items)], strict=True)]
    quantities = tuple(read_quantity(part, nouns) for part in parts)
    if any(not quantity.unit for quantity in quantities):
        raise Uncovered("not compound")
    return Compound(quantities)


def read_sum_of_quantities(items: Sequence[Item], nouns: frozenset[str]) -> Quantity:
    """Quantities of one unit with signs between: 41 cm + 97 cm, 17 dollars - 5 dollars."""
    pieces, signs = split(items, lambda item: item.is_("+", "-"))
    if len(pieces) < 2 or any(not piece for piece in pieces):
        raise Uncovered("not a sum")
    terms = [read_quantity(piece, nouns) for piece in pieces]
    units = {term.unit for term in terms}
    if len(units) != 1 or "" in units or any(term.percent for term in terms):
        raise Uncovered("not of one unit")
    signed = [
        negative(term.scalar) if sign.is_("-") else term.scalar for sign, term in zip(signs, terms[1:], strict=True)
    ]
    return Quantity(Add((terms[0].scalar, *signed)), units.pop())


def _ends_unit(item: Item) -> bool:
    return item.kind in ("word", "letter") or item.is_("and", ",", "}")


def _without_and(items: Sequence[Item]) -> Sequence[Item]:
    while items and (items[-1].value.casefold() == "and" or items[-1].is_(",")):
        items = items[:-1]
    return items


def read_digits(items: Sequence[Item]) -> Digits:
    """A time or ratio of numerals (3:45 pm, 2:3), or a date (2024-05-06, 05/06/2024)."""
    items, half = _without_half(items)
    if half and len(items) == 1 and items[0].value.isdigit() and 1 <= int(items[0].value) <= 12:
        return Digits(":", (str(int(items[0].value)), "00"), half)
    if len(items) == 3 and items[1].kind == "word" and items[1].value.casefold() == "to":
        items = [items[0], Item("sign", ":"), items[2]]
    separator = items[1].value if len(items) > 2 else ""
    figures, between = items[::2], items[1::2]
    if len(items) % 2 == 0 or separator not in (":", "-", "/") or any(not item.is_(separator) for item in between):
        raise Uncovered("not digits")
    if any(item.kind != "num" or not item.value.isdigit() for item in figures):
        raise Uncovered("not digits")
    parts = tuple(item.value for item in figures)
    if separator != ":" and not _is_date(parts):
        raise Uncovered("not a date")
    return Digits(separator, parts if separator != ":" else _plain_figures(parts), half)


def _plain_figures(parts: tuple[str, ...]) -> tuple[str, ...]:
    return (str(int(parts[0])), *parts[1:]) if len(parts[-1]) == 2 else tuple(str(int(part)) for part in parts)


def _is_date(parts: tuple[str, ...]) -> bool:
    return len(parts) == 3 and sorted(map(len, parts)) in ([1, 1, 4], [1, 2, 4], [2, 2, 4])


def _without_half(items: Sequence[Item]) -> tuple[Sequence[Item], str]:
    """am, pm, a.m. and p.m. after a time."""
    tail = "".join(item.value for item in items[-4:] if item.kind in ("word", "letter")).casefold()
    if tail not in ("am", "pm"):
        return items, ""
    end = next((at for at in range(len(items), 0, -1) if items[at - 1].kind == "num"), 0)
    # A sign among these letters that prints something else has no owner.
    if any(item.kind not in ("word", "letter") and not item.is_(".", "{", "}") for item in items[end:]):
        return items, ""
    return items[:end], tail


def read_based(items: Sequence[Item]) -> Based:
    r"""``1101_2``, ``(1101)_2``, ``1101_{(2)}``, ``1101_{two}``, ``1101 base 2``."""
    end = next((at for at, item in enumerate(items) if item.is_("_") or item.value.casefold() == "base"), 0)
    if not end:
        raise Uncovered("no base")
    body, after = items[:end], items[end + 1 :]
    if len(body) > 1 and body[-1].value == "in":
        body = body[:-1]
    if body[-1].is_("(") and after and after[-1].is_(")"):
        body, after = body[:-1], after[:-1]
    if not body:
        raise Uncovered("no digits")
    if body[0].is_("(") and body[-1].is_(")"):
        body = body[1:-1]
    base = _read_base(after)
    digits = plain_digits(body)
    if digits is None or not any(item.kind == "num" for item in body):
        raise Uncovered("no digits")
    if not all(int(digit, 36) < base for digit in digits.lstrip("-")):
        raise Uncovered("digit over base")
    return Based(digits, base)


def plain_digits(items: Sequence[Item]) -> str | None:
    """The figures 0-9 and A-Z of a numeral in some base, or None."""
    negative = bool(items) and items[0].is_("-")
    digits = "".join(item.value for item in items[negative:]).upper()
    return "-" * negative + digits if re.fullmatch("[0-9A-Z]+", digits) else None


def _read_base(items: Sequence[Item]) -> int:
    """The base in any nest of brackets."""
    while len(items) > 2 and (items[0].value, items[-1].value) in (("{", "}"), ("(", ")")):
        items = items[1:-1]
    if len(items) == 2 and items[0].value.casefold() == "base":
        items = items[1:]
    if len(items) != 1:
        raise Uncovered("base")
    word = items[0].value.casefold()
    base = _BASE_WORDS.get(word) or (int(word) if word.isdigit() and len(word) < 3 else 0)
    if not 2 <= base <= _LARGEST_BASE:
        raise Uncovered("base")
    return base


def without_text(items: Sequence[Item]) -> list[Item]:
    """The same items as mathematics: letters of a text command are symbols."""
    return [replace(item, text=False) if item.kind == "letter" else item for item in items]
