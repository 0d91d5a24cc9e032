"""Value of a LaTeX expression in floating point, for the second grader: shares no code with the first."""

from __future__ import annotations

import cmath
import math
import re
from collections.abc import Callable, Mapping

_TOKEN = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+|\\[A-Za-z]+|\\.|[A-Za-z]|\S)", re.ASCII)
_MAX_DEPTH = 60
_CONSTANTS = {r"\pi": math.pi, "e": math.e, "i": 1j, r"\infty": math.inf}
_FUNCTIONS: dict[str, Callable[[complex], complex]] = {
    r"\sin": cmath.sin,
    r"\cos": cmath.cos,
    r"\tan": cmath.tan,
    r"\cot": lambda x: 1 / cmath.tan(x),
    r"\sec": lambda x: 1 / cmath.cos(x),
    r"\csc": lambda x: 1 / cmath.sin(x),
    r"\arcsin": cmath.asin,
    r"\arccos": cmath.acos,
    r"\arctan": cmath.atan,
    r"\ln": cmath.log,
    r"\log": cmath.log10,
    r"\exp": cmath.exp,
}
_TIMES, _OVER = ("*", r"\cdot", r"\times"), ("/", r"\div")
_CLOSING = {"(": ")", "[": "]", "{": "}", r"\{": r"\}", "|": "|"}


class CannotRead(Exception):
    """The text is no expression of this small grammar, or has no finite value."""


def value(text: str, variables: Mapping[str, complex]) -> complex:
    """Evaluate + - * / ^, fractions, roots, elementary functions and ``variables`` (one letter each).

    Raises:
        CannotRead: anything else, including overflow and division by zero.
    """
    parser = _Parser(_TOKEN.findall(text), variables)
    try:
        result = parser.total()
    except (ArithmeticError, ValueError) as error:
        raise CannotRead(str(error)) from error
    if parser.peek() or not cmath.isfinite(result):
        raise CannotRead(text)
    return result


def letters(text: str) -> set[str]:
    """One-letter variables of an expression."""
    return {token for token in _TOKEN.findall(text) if len(token) == 1 and token.isalpha()} - {"e", "i"}


class _Parser:
    def __init__(self, tokens: list[str], variables: Mapping[str, complex]) -> None:
        self._tokens, self._variables = tokens, variables
        self._at = self._depth = 0

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1] if self._at <= len(self._tokens) else ""

    def _expect(self, token: str) -> None:
        if self._take() != token:
            raise CannotRead(token)

    def total(self) -> complex:
        result = self._product()
        while self.peek() in ("+", "-"):
            result = result + self._product() if self._take() == "+" else result - self._product()
        return result

    def _product(self) -> complex:
        result = self._signed()
        while token := self.peek():
            if token in _TIMES:
                self._take()
                result *= self._signed()
            elif token in _OVER:
                self._take()
                result /= self._signed()
            elif token in _CLOSING or token in _FUNCTIONS or token in _CONSTANTS or token in self._variables:
                # A bar after a factor closes the absolute value.
                if token == "|":
                    return result
                result *= self._power()
            elif token in (r"\frac", r"\sqrt"):
                result *= self._power()
            else:
                return result
        return result

    def _signed(self) -> complex:
        sign = 1
        while self.peek() in ("+", "-"):
            sign = -sign if self._take() == "-" else sign
        return sign * self._power()

    def _power(self) -> complex:
        base = self._atom()
        if self.peek() != "^":
            return base
        self._take()
        exponent = self._argument()
        return complex(base) ** exponent

    def _argument(self) -> complex:
        """A group, or the single token (one digit, as TeX has it) that stands for one."""
        token = self.peek()
        if token[:1].isdigit() and len(token) > 1 and "." not in token:
            self._tokens[self._at] = token[1:]
            return complex(int(token[0]))
        if token == "-":
            self._take()
            return -self._atom()
        return self._atom()

    def _atom(self) -> complex:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise CannotRead("too deep")
        result = self._bare_atom(self._take())
        self._depth -= 1
        return result

    def _bare_atom(self, token: str) -> complex:
        if token[:1].isdigit() or token[:1] == ".":
            return complex(float(token))
        if token in self._variables:
            return self._variables[token]
        if token in _CONSTANTS:
            return complex(_CONSTANTS[token])
        if token in _CLOSING:
            result = self.total()
            self._expect(_CLOSING[token])
            return complex(abs(result)) if token == "|" else result
        if token == r"\frac":
            return self._argument() / self._argument()
        if token == r"\sqrt":
            return self._root()
        if token in _FUNCTIONS:
            return self._function(token)
        raise CannotRead(token)

    def _root(self) -> complex:
        index: complex = 2
        if self.peek() == "[":
            index = self._atom()
        radicand = self._argument()
        # cmath gives the complex cube root of a negative number, and answers mean the real root.
        if index == 3 and radicand.imag == 0 and radicand.real < 0:
            return complex(-((-radicand.real) ** (1 / 3)))
        return radicand ** (1 / index)

    def _function(self, name: str) -> complex:
        exponent: complex = 1
        base: complex | None = None
        while self.peek() in ("^", "_"):
            if self._take() == "^":
                exponent = self._argument()
            else:
                base = self._argument()
        argument = self._power() if self.peek() in _CLOSING else self._product()
        if base is not None:
            if name != r"\log":
                raise CannotRead(name)
            return (cmath.log(argument) / cmath.log(base)) ** exponent
        return complex(_FUNCTIONS[name](argument)) ** exponent
