r"""Exact numbers: integers, decimals, fractions, percentages, mixed numbers and plain arithmetic on them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_DIGITS_LIMIT = 400
_DEPTH_LIMIT = 30
_EXPONENT_LIMIT = 400

_PLAIN = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_GROUPED = r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?![0-9])|[1-9][0-9]{0,2}(?: [0-9]{3})+(?![0-9])"
_TOKEN = re.compile(
    rf"\s*(?:(?P<number>(?:{_GROUPED}|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+)"
    r"|(?P<frac>\\frac(?![A-Za-z]))|(?P<op>[-+*/(){}]|\\(?:times|cdot|div)(?![A-Za-z])))",
    re.ASCII,
)
_SCIENTIFIC = re.compile(
    r"(?P<mantissa>[+-]?[0-9](?:\.[0-9]*)?)\s*(?:(?:\\times|\\cdot|\*)\s*10\s*\^\s*(?:\{\s*(?P<braced>[+-]?[0-9]+)\s*\}"
    r"|(?P<bare>[0-9]))|[eE](?P<e>[+-]?[0-9]+))",
    re.ASCII,
)
_SPELLED_OPERATORS = {r"\times": "*", r"\cdot": "*", r"\div": "/"}


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
    return _Arithmetic(text).value()


def _significant(body: str) -> int | None:
    if "." not in body or not re.fullmatch(r"[+-]?[0-9,]*\.[0-9]+", body, re.ASCII):
        return None
    return len(body.lstrip("+-").replace(",", "").replace(".", "").lstrip("0"))


class _Syntax(Exception):
    """The text is not plain arithmetic."""


class _Arithmetic:
    """Recursive descent over numerals. Division by zero and anything unknown make the value None."""

    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        self._kinds: list[str] = []
        position = 0
        while match := _TOKEN.match(text, position):
            kind = str(match.lastgroup)
            self._kinds.append(kind)
            self._tokens.append(_SPELLED_OPERATORS.get(match[kind], match[kind]))
            position = match.end()
        self._complete = not text[position:].strip()
        self._at = 0
        self._depth = 0

    def value(self) -> Fraction | None:
        if not self._complete:
            return None
        try:
            value = self._sum()
        except (_Syntax, ZeroDivisionError):
            return None
        return value if self._at == len(self._tokens) else None

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _sum(self) -> Fraction:
        value = self._term()
        while self._peek() in ("+", "-"):
            value = value + self._term() if self._next() == "+" else value - self._term()
        return value

    def _term(self) -> Fraction:
        value = self._signed()
        while True:
            following = self._peek()
            if following in ("*", "/"):
                self._next()
                value = value * self._signed() if following == "*" else value / self._signed()
            elif following in ("(", r"\frac"):
                value *= self._atom()
            else:
                return value

    def _signed(self) -> Fraction:
        sign = 1
        while self._peek() in ("+", "-"):
            sign = -sign if self._next() == "-" else sign
        return sign * self._atom()

    def _atom(self) -> Fraction:
        self._depth += 1
        if self._depth > _DEPTH_LIMIT:
            raise _Syntax
        value = self._unguarded_atom()
        self._depth -= 1
        return value

    def _unguarded_atom(self) -> Fraction:
        token = self._next()
        if token in ("(", "{"):
            value = self._sum()
            if self._next() != {"(": ")", "{": "}"}[token]:
                raise _Syntax
            return value
        if token == r"\frac":
            return self._frac_part() / self._frac_part()
        if not token or self._kinds[self._at - 1] != "number":
            raise _Syntax
        return self._mixed(Fraction(token.replace(",", "").replace(" ", "").rstrip(".") or "0"), token)

    def _frac_part(self) -> Fraction:
        r"""Argument of \frac: a group, or one digit as in \frac12."""
        token = self._peek()
        if token == "{":
            return self._atom()
        if not re.fullmatch(r"[0-9]+", token, re.ASCII):
            raise _Syntax
        # \frac12 is lexed as one numeral: give back all digits but the first.
        if len(token) > 1:
            self._tokens[self._at] = token[1:]
        else:
            self._at += 1
        return Fraction(int(token[0]))

    def _mixed(self, whole: Fraction, token: str) -> Fraction:
        r"""``3\frac{1}{2}`` and ``3 1/2`` are three and a half when the fraction is proper."""
        if not token.isdigit():
            return whole
        if self._peek() == r"\frac":
            start = self._at
            part = self._atom()
            if 0 < part < 1 and "-" not in self._tokens[start : self._at]:
                return whole + part
            raise _Syntax  # neither a mixed number nor an unmistakable product
        following = self._tokens[self._at : self._at + 3]
        if len(following) == 3 and following[1] == "/" and following[0].isdigit() and following[2].isdigit():
            self._at += 3
            return whole + Fraction(int(following[0]), int(following[2]))
        return whole


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
