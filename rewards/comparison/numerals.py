r"""Numerals as they are written: thousands groups, decimals, scientific notation, repeating decimals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from rewards.comparison.items import Item
from rewards.comparison.tree import Num, Uncovered

_MOST_DIGITS = 100
_OPENING, _CLOSING = ("(", "[", r"\{"), (")", "]", r"\}")


class TooLarge(Exception):
    """A numeral or an intermediate result beyond the bounds of this grader."""


def joined(items: Sequence[Item]) -> list[Item]:
    r"""Thousands groups as one numeral; ``{,}``, ``{.}`` and ``{:}`` as bare signs.

    A comma joins groups only outside brackets and without a space, so ``(1,234)`` stays a pair.
    """
    items = _bare_signs(items)
    out: list[Item] = []
    depth = 0
    at = 0
    while at < len(items):
        item = items[at]
        depth += item.is_(*_OPENING) - item.is_(*_CLOSING)
        if item.kind == "num" and (end := _group_end(items, at, depth)) > at + 1:
            digits = "".join(part.value for part in items[at:end] if part.kind == "num")
            out.append(replace(item, value=digits))
            at = end
        else:
            out.append(item)
            at += 1
    return out


def _bare_signs(items: Sequence[Item]) -> list[Item]:
    out: list[Item] = []
    for item in items:
        if item.is_("}") and len(out) > 1 and out[-2].is_("{") and out[-1].is_(",", ":", "."):
            sign = out.pop()
            # A braced comma is never the comma of a list.
            out[-1] = replace(sign, value="," if sign.value == "," else sign.value, spaced=False, font="braced")
        else:
            out.append(item)
    return out


def _group_end(items: Sequence[Item], start: int, depth: int) -> int:
    """Index after the last group of the numeral that begins at ``start``."""
    first = items[start].value
    # No thousands begin with 0, so 0,123 stays a list.
    if not re.fullmatch(r"[1-9][0-9]{0,2}", first):
        return start + 1
    end = start + 1
    separator = ""
    while end < len(items):
        comma = items[end].is_(",") and not items[end].spaced and (depth == 0 or items[end].font == "braced")
        group = end + 1 if comma else end
        kind = "," if comma else " "
        if group >= len(items) or not re.fullmatch(r"[0-9]{3}(?:\.[0-9]*)?", items[group].value):
            break
        if items[group].spaced == comma or (separator and separator != kind) or items[group].kind != "num":
            break
        end, separator = group + 1, kind
        if "." in items[group].value:
            break
    return end


def read_decimal(text: str) -> Num:
    """The exact number that ``text``, digits with at most one point, is."""
    if len(text) > _MOST_DIGITS:
        raise Uncovered(text[:20])
    whole, point, decimals = text.partition(".")
    value = Fraction(int((whole or "0") + decimals), 10 ** len(decimals))
    if not point or not decimals:
        return Num(value)
    # Zeros in front are no significant digits.
    return Num(value, len((whole + decimals).lstrip("0")), len(decimals))


def repeating(start: str, period: str) -> Num:
    r"""``0.1\overline{6}`` as a fraction: ``start`` ends in the digits before the period."""
    if not period.isdigit() or len(start) + len(period) > _MOST_DIGITS or "." not in start:
        raise Uncovered(period)
    whole, _, decimals = start.partition(".")
    value = Fraction(int((whole or "0") + decimals), 10 ** len(decimals))
    # A period of n digits is a fraction over 10**n - 1.
    return Num(value + Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(decimals)))
