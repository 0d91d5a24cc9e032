r"""Recursive descent over numerals, + - x /, fractions and parentheses: exact, bounded, and refusing all else."""

from __future__ import annotations

import re
from fractions import Fraction

_DEPTH_LIMIT = 30
_GROUPED = r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?![0-9])|[1-9][0-9]{0,2}(?: [0-9]{3})+(?![0-9])"
NUMBER = rf"(?P<number>(?:{_GROUPED}|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+)"
OPERATOR = r"(?P<op>[-+*/(){}]|\\(?:frac|times|cdot|div)(?![A-Za-z]))"
_SPELLED_OPERATORS = {r"\times": "*", r"\cdot": "*", r"\div": "/"}
_CLOSING = {"(": ")", "{": "}"}

Value = Fraction | float


class SyntaxRefused(Exception):
    """The text is not of this grammar."""


class Arithmetic:
    """One text, parsed as it is evaluated. Division by zero and anything unknown make the value None."""

    token = re.compile(rf"\s*(?:{NUMBER}|{OPERATOR})", re.ASCII)

    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        self._kinds: list[str] = []
        position = 0
        while match := self.token.match(text, position):
            kind = str(match.lastgroup)
            self._kinds.append(kind)
            self._tokens.append(_SPELLED_OPERATORS.get(match[kind], match[kind]))
            position = match.end()
        self._complete = not text[position:].strip()
        self._at = 0
        self._depth = 0

    def value(self) -> Value | None:
        """The value of the whole text, or None."""
        if not self._complete:
            return None
        try:
            value = self._sum()
        except (SyntaxRefused, ArithmeticError):
            return None
        return value if self._at == len(self._tokens) else None

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _sum(self) -> Value:
        value = self._term()
        while self._peek() in ("+", "-"):
            value = value + self._term() if self._next() == "+" else value - self._term()
        return value

    def _term(self) -> Value:
        value = self._signed()
        while following := self._peek():
            if following in ("*", "/"):
                self._next()
                value = value * self._signed() if following == "*" else value / self._signed()
            elif self._begins_factor(following):
                value *= self._power()
            else:
                break
        return value

    def _begins_factor(self, token: str) -> bool:
        return token in ("(", r"\frac")

    def _signed(self) -> Value:
        sign = 1
        while self._peek() in ("+", "-"):
            sign = -sign if self._next() == "-" else sign
        return sign * self._power()

    def _power(self) -> Value:
        return self._atom()

    def _atom(self) -> Value:
        self._depth += 1
        if self._depth > _DEPTH_LIMIT:
            raise SyntaxRefused
        token = self._next()
        if token in _CLOSING:
            value = self._sum()
            if self._next() != _CLOSING[token]:
                raise SyntaxRefused
        elif token == r"\frac":
            value = self._argument() / self._argument()
        elif token and self._kinds[self._at - 1] == "number":
            value = self._mixed(Fraction(token.replace(",", "").replace(" ", "").rstrip(".") or "0"), token)
        else:
            value = self._named(token)
        self._depth -= 1
        return value

    def _named(self, token: str) -> Value:
        raise SyntaxRefused(token)

    def _argument(self) -> Value:
        r"""A group, or one digit as in \frac12."""
        token = self._peek()
        if token == "{":
            return self._atom()
        if not re.fullmatch(r"[0-9]+", token, re.ASCII):
            raise SyntaxRefused
        # \frac12 is lexed as one numeral: give back all digits but the first.
        if len(token) > 1:
            self._tokens[self._at] = token[1:]
        else:
            self._at += 1
        return Fraction(int(token[0]))

    def _mixed(self, whole: Fraction, token: str) -> Value:
        r"""``3\frac{1}{2}`` and ``3 1/2`` are three and a half when the fraction is proper."""
        if not token.isdigit():
            return whole
        if self._peek() == r"\frac":
            start = self._at
            part = self._atom()
            if isinstance(part, Fraction) and 0 < part < 1 and "-" not in self._tokens[start : self._at]:
                return whole + part
            raise SyntaxRefused  # neither a mixed number nor an unmistakable product
        following = self._tokens[self._at : self._at + 3]
        if len(following) == 3 and following[1] == "/" and following[0].isdigit() and following[2].isdigit():
            self._at += 3
            return whole + Fraction(int(following[0]), int(following[2]))
        return whole
