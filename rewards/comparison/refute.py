r"""Expressions that differ at a point are different: spares the engine most wrong answers.

Reads only what is unmistakable: numerals, one-letter variables, + - x, fractions, roots, powers, pi, lists of these.
Never says that two expressions are equal, and is silent (the engine decides) about whatever it cannot read.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

from rewards.comparison.exact_arithmetic import NUMBER, OPERATOR, Arithmetic, SyntaxRefused, Value
from rewards.comparison.listings import outer_brackets, split_top

_POINTS = (0.618, 0.382)
_LARGEST_EXPONENT = 64
# Nearer than this may be an approximation, and that is the engine's business.
_CLEARLY = 1e-4
_AMBIGUOUS = re.compile(r"(?<!\\)\b[A-Za-z]{3,}|/.*[A-Za-z]|[A-Za-z].*/|\\pm|\\mp|[=<>!:|_'%]")


def surely_different(gold: str, answer: str) -> bool:
    """Whether two cleaned texts are readable here and differ clearly at a sample point."""
    if _AMBIGUOUS.search(gold) or _AMBIGUOUS.search(answer):
        return False
    (kind, wanted), (given_kind, given) = outer_brackets(gold), outer_brackets(answer)
    if kind != given_kind:
        return False
    return any(_differ(kind, _values(wanted, point), _values(given, point)) for point in _POINTS)


def _differ(kind: str, gold: list[float] | None, answer: list[float] | None) -> bool:
    if gold is None or answer is None:
        return False
    if kind in ("bare", "set"):
        return any(all(_far(member, other) for other in answer) for member in gold)
    return len(gold) != len(answer) or any(map(_far, gold, answer))


def _far(first: float, second: float) -> bool:
    return abs(first - second) > _CLEARLY * max(abs(first), abs(second))


def _values(body: str, point: float) -> list[float] | None:
    values = [_Sampled(item, point).value() for item in split_top(body)]
    numbers = [float(value) for value in values if value is not None and math.isfinite(value)]
    return numbers if len(numbers) == len(values) else None


class _Sampled(Arithmetic):
    """Arithmetic with variables, whose values lie between 0.7 and 2.4 and depend on letter and point."""

    token = re.compile(rf"\s*(?:{NUMBER}|{OPERATOR}|(?P<name>[A-Za-z]|\\(?:pi|sqrt)(?![A-Za-z])|\^|\[|\]))", re.ASCII)

    def __init__(self, text: str, point: float) -> None:
        super().__init__(text)
        self._point = point

    def _begins_factor(self, token: str) -> bool:
        return super()._begins_factor(token) or token in (r"\pi", r"\sqrt") or token.isalpha()

    def _named(self, token: str) -> Value:
        if token == r"\pi":
            return math.pi
        if token == r"\sqrt":
            return self._root()
        if not token.isalpha() or token in "ei":
            raise SyntaxRefused(token)
        return 0.7 + 1.7 * (ord(token) * self._point % 1.0)

    def _root(self) -> Value:
        index: Value = 2
        if self._peek() == "[":
            self._next()
            index = self._sum()
            if self._next() != "]":
                raise SyntaxRefused
        return _raised(self._argument(), 1 / Fraction(index))

    def _power(self) -> Value:
        base = self._atom()
        if self._peek() != "^":
            return base
        self._next()
        token = self._peek()
        return _raised(base, self._named(self._next()) if token.isalpha() else self._argument())


def _raised(base: Value, exponent: Value) -> Value:
    number, power = float(base), float(exponent)
    if abs(power) > _LARGEST_EXPONENT or (number < 0 and not power.is_integer()):
        raise SyntaxRefused
    return float(number**power)
