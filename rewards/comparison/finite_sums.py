r"""Finite sums and products as their terms, for links such as ``\sum_{k=1}^{10} k = 55``."""

from __future__ import annotations

import re
from fractions import Fraction

from rewards.comparison.calculus import derived, integrated
from rewards.comparison.numerals import TooLarge
from rewards.comparison.substitution import put, rebuilt
from rewards.comparison.tree import Add, Call, Mul, Num, Scalar, Sym

_MOST_TERMS = 200
_LOWER = re.compile(r"bound ([A-Za-z]|index) = ([0-9]+)")
_UPPER = re.compile(r"bound ([0-9]+)")


def written_out(scalar: Scalar) -> Scalar:
    """``scalar`` with each sum or product between two numerals replaced by its terms, and simple calculus done.

    Raises:
        TooLarge: more than 200 terms.
    """
    if isinstance(scalar, Call) and scalar.name in ("sum", "prod") and (terms := _terms(scalar)) is not None:
        return Add(terms) if scalar.name == "sum" else Mul(terms)
    if isinstance(scalar, Call) and scalar.name == "int" and (value := integrated(scalar)) is not None:
        return value
    if isinstance(scalar, Mul) and (slope := derived(scalar)) is not None:
        return slope
    return rebuilt(scalar, written_out)


def _terms(call: Call) -> tuple[Scalar, ...] | None:
    lower, upper, body = call.arguments
    if not isinstance(lower, Sym) or not isinstance(upper, Sym):
        return None
    start, end = _LOWER.fullmatch(lower.name), _UPPER.fullmatch(upper.name)
    if start is None or end is None:
        return None
    values = range(int(start[2]), int(end[1]) + 1)
    if not 0 < len(values) <= _MOST_TERMS:
        raise TooLarge("terms")
    return tuple(put(body, start[1], Num(Fraction(value))) for value in values)
