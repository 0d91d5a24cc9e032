r"""Numerals inside a formula: decimals, scientific notation, repeating decimals and mixed numbers."""

from __future__ import annotations

import re
from fractions import Fraction

from rewards.comparison.cursor import Cursor
from rewards.comparison.items import Item
from rewards.comparison.numerals import read_decimal, repeating
from rewards.comparison.tree import Div, Num, Scalar, Uncovered

# Dots say how a numeral goes on only after three equal periods: 0.333..., 0.1666..., 0.121212...
_PERIOD = re.compile(r"([0-9]*\.[0-9]*?)([0-9]{1,6}?)\2{2,}")


class NumeralReader(Cursor):
    """Reads what begins with a numeral."""

    def _numeral(self, item: Item) -> Scalar:
        if self.value() in (r"\overline", r"\dot") or (item.value.endswith(".") and self.value() == "("):
            return self._repeating(item.value)
        if self.value() == r"\ldots" and (period := _PERIOD.fullmatch(item.value)) is not None:
            self._expect(r"\ldots")
            return repeating(period[1], period[2])
        # The point after "3." in "3. 1/2" ends a sentence or numbers a list.
        if item.value.endswith(".") and (self._begins_factor() or self._slash_fraction_follows()):
            raise Uncovered(item.value)
        number = read_decimal(item.value)
        # Scientific notation has a mantissa from 1 to below 10. Elsewhere e is the constant.
        if 1 <= abs(number.value) < 10 and (power := self._exponent_after_e()) is not None:
            return Num(number.value * Fraction(10) ** power)
        # A decimal before a fraction is a factor, never the whole of a mixed number.
        if number.digits == 0 and self.value() == r"\frac":
            return self._mixed(number)
        if number.digits == 0 and self._slash_fraction_follows():
            top, bottom = (int(self.value(ahead)) for ahead in (0, 2))
            self._at += 3
            return Num(number.value + Fraction(top, bottom))
        return number

    def _exponent_after_e(self) -> int | None:
        """``1.5e3`` and ``2E-4``, without spaces."""
        parts = self._items[self._at : self._at + 3]
        if (
            not parts
            or parts[0].value not in ("e", "E")
            or parts[0].kind != "letter"
            or any(p.spaced for p in parts[:2])
        ):
            return None
        signed = len(parts) == 3 and parts[1].is_("+", "-")
        digits = parts[2] if signed else parts[1] if len(parts) > 1 else None
        if digits is None or digits.kind != "num" or not digits.value.isdigit() or len(digits.value) > 3:
            return None
        self._at += 3 if signed else 2
        return int(digits.value) * (-1 if signed and parts[1].value == "-" else 1)

    def _repeating(self, start: str) -> Scalar:
        if self._accept(r"\overline"):
            return repeating(start, self._digits("{", "}"))
        if self._accept(r"\dot"):
            period = self._digits("{", "}") if self.value() == "{" else self._take().value
            while self._accept(r"\dot"):
                period += self._digits("{", "}")
            return repeating(start, period)
        return repeating(start, self._digits("(", ")"))

    def _digits(self, opening: str, closing: str) -> str:
        self._expect(opening)
        digits = self._take()
        self._expect(closing)
        if digits.kind != "num":
            raise Uncovered(digits.value)
        return digits.value

    def _slash_fraction_follows(self) -> bool:
        """``3 1/2``: three items, integer slash integer, after a space, and the fraction is proper."""
        following = self._items[self._at : self._at + 3]
        if len(following) < 3 or not following[0].spaced or not following[1].is_("/"):
            return False
        if not (following[0].value.isdigit() and following[2].value.isdigit()):
            return False
        return 0 < int(following[0].value) < int(following[2].value)

    def _mixed(self, whole: Num) -> Scalar:
        r"""``3\frac{1}{2}`` is three and a half; beside a fraction that is not proper the reading is open."""
        start = self._at
        self._expect(r"\frac")
        part = self._fraction()
        if not isinstance(part, Div) or not isinstance(part.top, Num) or not isinstance(part.bottom, Num):
            self._at = start
            return whole
        if not 0 < part.top.value < part.bottom.value:
            raise Uncovered("neither a mixed number nor a product")
        return Num(whole.value + part.top.value / part.bottom.value)
