r"""Limits, integrals and endless sums by value, for links such as ``\lim_{x\to 0}\frac{\sin x}{x}=1``.

The value beside the operator is graded by itself. A link only says whether the operator comes near that value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from rewards.comparison.items import items_of
from rewards.comparison.numeric import POINTS, Undefined, evaluate, point_values
from rewards.comparison.scalar_reader import INFINITY, negative, read_scalar
from rewards.comparison.spellings import BIG_NAMES
from rewards.comparison.substitution import put
from rewards.comparison.tree import (
    CONSTANTS,
    Add,
    Call,
    Mul,
    Node,
    Num,
    Quantity,
    Scalar,
    Sym,
    Uncovered,
    children,
    free_symbols,
    walk,
)

_BELOW = re.compile(r"bound ([A-Za-z]|\\[a-z]+) \\to (.+?)(?: \^ (?:\{ )?([+-])(?: \})?)?")
_START = re.compile(r"bound index = ([0-9]+)")
_LETTER = re.compile(r"(?<![\\A-Za-z])[A-Za-z](?![A-Za-z])")
_DIGITS, _DIGITS_OF_A_LIMIT = 20, 80
# Two steps towards the end, and how far off a slow limit such as that of ln(n)/n may still be at the second step. The
# second row is for powers whose exponent grows, which have no value at the steps of the first row.
_STEPS = (((10**12, 10**18), 1e-9), ((10**4, 10**6), 1e-4))
_NEAR, _LARGE, _FAR_OUT = 1e-9, 10, 10**3
_ENDS = (INFINITY, negative(INFINITY))


def operator_of(node: Node) -> Call | None:
    """The big operator with a value that a node is, or None."""
    if not isinstance(node, Quantity) or node.unit or node.percent:
        return None
    return node.scalar if isinstance(node.scalar, Call) and has_value(node.scalar) else None


def has_value(scalar: Scalar) -> bool:
    """Whether a scalar is a big operator that names nothing: its body has no unknown function and no unknown symbol."""
    if not isinstance(scalar, Call) or scalar.name not in BIG_NAMES:
        return False
    if names_a_function(scalar):
        return False
    if scalar.name != "lim":
        return not open_symbols(scalar)
    found = _limit(scalar)
    # A limit whose end is not read is no name either.
    return found is None or found[1] in free_symbols(scalar.arguments[2])


def names_a_function(node: object) -> bool:
    """Whether a function of which only the name is known stands below ``node``."""
    return any(isinstance(part, Call) and part.name.startswith("apply") for part in walk(node))


def open_symbols(node: object) -> set[str]:
    """Symbols below ``node`` that no sum, product, integral or limit binds."""
    if isinstance(node, Sym):
        return {node.name} - CONSTANTS
    if not isinstance(node, Call) or node.name not in BIG_NAMES:
        return set().union(*map(open_symbols, children(node)))
    below, above, body = node.arguments
    bounds = [part.name.removeprefix("bound ") for part in (below, above) if part != Sym("none")]  # type: ignore[union-attr]
    found = _limit(node)
    own = {"index", "d"} | ({found[1]} if found else set())
    return (open_symbols(body) | set(_LETTER.findall(" ".join(bounds)))) - own


def comes_to(call: Call, value: Node) -> bool:
    """Whether the operator ``call`` has nearly the value ``value``. False where nothing can be computed."""
    if not isinstance(value, Quantity) or value.unit or value.percent:
        return False
    try:
        if call.name == "lim":
            return _tends_to(call, value.scalar)
        if call.name in ("int", "sum"):
            return _amounts_to(call, value.scalar)
    except (Undefined, Uncovered, ValueError):
        pass
    return False


def _limit(call: Call) -> re.Match[str] | None:
    below = call.arguments[0]
    return _BELOW.fullmatch(below.name) if call.name == "lim" and isinstance(below, Sym) else None


def _amounts_to(call: Call, value: Scalar) -> bool:
    import mpmath

    with mpmath.workdps(_DIGITS):
        wanted = evaluate(value, {}, mpmath.mp)
        amount = _integral(call, mpmath.mp) if call.name == "int" else _endless_sum(call, mpmath.mp)
        return bool(abs(amount - wanted) <= _NEAR * max(1, abs(wanted)))


def _integral(call: Call, context: Any) -> Any:
    lower, upper, body = call.arguments
    if not isinstance(body, Mul) or body.factors[-2:] != (Sym("d"), Sym("index")):
        raise Undefined("no differential")
    integrand = Mul((Num(Fraction(1)), *body.factors[:-2]))
    return context.quad(_at(integrand, context), [_end(lower, context), _end(upper, context)])


def _endless_sum(call: Call, context: Any) -> Any:
    lower, upper, body = call.arguments
    start = _START.fullmatch(lower.name) if isinstance(lower, Sym) else None
    if start is None or upper != Sym(r"bound \infty"):
        raise Undefined("no endless sum")
    return context.nsum(_at(body, context), [int(start[1]), context.inf])


def _at(body: Scalar, context: Any) -> Callable[[Any], Any]:
    """The body as a function of its bound variable."""
    from mpmath.libmp import to_rational

    def value(place: Any) -> Any:
        try:
            return evaluate(body, {"index": Fraction(*to_rational(context.mpf(place)._mpf_))}, context)
        except Undefined:
            # Far out an exponent is beyond the bounds of evaluation, and the body of an integral with a value vanishes.
            if abs(place) < _FAR_OUT:
                raise
            return context.mpf(0)

    return value


def _end(bound: Scalar, context: Any) -> Any:
    scalar = read_scalar(items_of(bound.name.removeprefix("bound "))) if isinstance(bound, Sym) else bound
    if scalar in _ENDS:
        return context.inf if scalar == INFINITY else -context.inf
    return evaluate(scalar, {}, context)


def _tends_to(call: Call, value: Scalar) -> bool:
    import mpmath

    for steps, near in _STEPS:
        with mpmath.workdps(_DIGITS_OF_A_LIMIT):
            try:
                first, last = _distances(call, value, steps, mpmath.mp)
            except Undefined:
                continue
        return bool(last > first > _LARGE if value in _ENDS else last <= near)
    return False


def _distances(call: Call, value: Scalar, steps: tuple[int, int], context: Any) -> Iterator[Any]:
    """Relative distances from the value, or how far the body is on the way to infinity."""
    found, body = _limit(call), call.arguments[2]
    if found is None:
        raise Uncovered("limit")
    end = read_scalar(items_of(found[2]))
    others = point_values((free_symbols(body) | free_symbols(value) | free_symbols(end)) - {found[1]}, POINTS[0])
    for step in steps:
        at = evaluate(put(body, found[1], _place(end, found[3], step)), others, context)
        if value in _ENDS:
            yield at if value == INFINITY else -at
        else:
            wanted = evaluate(value, others, context)
            yield abs(at - wanted) / max(1, abs(wanted))


def _place(end: Scalar, side: str | None, step: int) -> Scalar:
    if end in _ENDS:
        return Num(Fraction(step if end == INFINITY else -step))
    return Add((end, Num(Fraction(-1 if side == "-" else 1, step))))
