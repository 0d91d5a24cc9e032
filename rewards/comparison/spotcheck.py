"""A numeric look at what the engine called equal: it drops differences below 1e-15, however small the numbers."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

_DIGITS = 40
_EXACT_TOLERANCE = 1e-12
# A decimal in the answer may stand for an irrational gold; the engine rounds to six places.
_DECIMAL_TOLERANCE = 1e-6
# Positive, irregular and far from 0 and 1, where many wrong identities hold.
_POINTS = ((2371, 1000), (1693, 700), (5303, 900))


def contradicted(gold: Any, answer: Any) -> bool:
    """Whether two sympy expressions differ relatively at a sample point; containers member by member."""
    import sympy

    if isinstance(gold, sympy.Tuple) and isinstance(answer, sympy.Tuple):
        return any(contradicted(a, b) for a, b in zip_longest(gold, answer, fillvalue=sympy.nan))
    if isinstance(gold, sympy.FiniteSet) and isinstance(answer, sympy.FiniteSet):
        return any(all(contradicted(member, other) for other in answer) for member in gold)
    if not (isinstance(gold, sympy.Expr) and isinstance(answer, sympy.Expr)):
        return False
    tolerance = _DECIMAL_TOLERANCE if gold.has(sympy.Float) or answer.has(sympy.Float) else _EXACT_TOLERANCE
    symbols = sorted(gold.free_symbols | answer.free_symbols, key=str)
    points = _POINTS if symbols else _POINTS[:1]
    return any(_differ(gold, answer, _values(point, symbols), tolerance) for point in points)


def _values(point: tuple[int, int], symbols: list[Any]) -> dict[Any, Any]:
    import sympy

    return {symbol: sympy.Rational(point[0] + 37 * index, point[1]) for index, symbol in enumerate(symbols)}


def _differ(gold: Any, answer: Any, values: dict[Any, Any], tolerance: float) -> bool:
    first, second = (side.doit().subs(values).evalf(_DIGITS) for side in (gold, answer))
    if not (first.is_number and second.is_number and first.is_finite and second.is_finite):
        return False
    sizes = [abs(number).evalf(_DIGITS) for number in (first, second, first - second)]
    return bool(sizes[2] > tolerance * max(sizes[:2]))
