"""A scalar with one symbol replaced."""

from __future__ import annotations

from collections.abc import Callable

from rewards.comparison.tree import Add, Call, Div, Mul, Pow, Scalar, Sym


def put(scalar: Scalar, name: str, value: Scalar) -> Scalar:
    """``scalar`` with ``value`` in the place of the symbol ``name``."""
    if scalar == Sym(name):
        return value
    return rebuilt(scalar, lambda part: put(part, name, value))


def rebuilt(scalar: Scalar, change: Callable[[Scalar], Scalar]) -> Scalar:
    """The same node over changed parts."""
    if isinstance(scalar, Add):
        return Add(tuple(map(change, scalar.terms)))
    if isinstance(scalar, Mul):
        return Mul(tuple(map(change, scalar.factors)))
    if isinstance(scalar, Div):
        return Div(change(scalar.top), change(scalar.bottom))
    if isinstance(scalar, Pow):
        return Pow(change(scalar.base), change(scalar.exponent))
    return Call(scalar.name, tuple(map(change, scalar.arguments))) if isinstance(scalar, Call) else scalar
