"""At which points two scalars are compared by value.

Near points tell smooth expressions apart. A piecewise expression may change its piece far away, and floor and ceiling
change theirs at whole numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import prod

from rewards.comparison.numeric import POINTS, point_values
from rewards.comparison.tree import Call, Num, Pow, Scalar, free_symbols, walk

Point = dict[str, Fraction]
_STEPPED = frozenset(("floor", "ceil"))
_PIECEWISE = _STEPPED | {"abs", "max", "min", "sup", "inf", "root"}
_SCALES = (10, 10**3, 10**6)
_MOST_SCALE = 10**12
_WHOLE = (2, 3, 8, 13, -4, -7)


def near_points(first: Scalar, second: Scalar) -> list[Point]:
    """Points of size about one. Without symbols one empty point stands for all."""
    names = free_symbols(first) | free_symbols(second)
    return [point_values(names, point) for point in POINTS] if names else [{}]


def further_points(first: Scalar, second: Scalar) -> list[Point]:
    """Points beyond the numerals of piecewise expressions, and whole ones for floor and ceiling."""
    calls = [part for side in (first, second) for part in walk(side) if _is_piecewise(part)]
    names = free_symbols(first) | free_symbols(second)
    if not calls or not names:
        return []
    scales = (*_SCALES, _beyond_numerals(first, second))
    far = [_scaled(point_values(names, point), scale) for scale in scales for point in (POINTS[0], POINTS[4])]
    stepped = any(isinstance(call, Call) and call.name in _STEPPED for call in calls)
    return far + (list(_whole_points(names)) if stepped else [])


def extra_digits(points: list[Point]) -> int:
    """Decimal digits by which the largest value of ``points`` exceeds a value of size one."""
    return max((len(str(abs(int(value)))) for point in points for value in point.values()), default=0)


def _is_piecewise(part: object) -> bool:
    if isinstance(part, Call):
        return part.name in _PIECEWISE and bool(free_symbols(part))
    fraction = isinstance(part, Pow) and not (isinstance(part.exponent, Num) and part.exponent.value.denominator == 1)
    return isinstance(part, Pow) and fraction and bool(free_symbols(part.base))


def _beyond_numerals(first: Scalar, second: Scalar) -> int:
    numerals = [part.value for side in (first, second) for part in walk(side) if isinstance(part, Num)]
    sizes = [max(abs(value.numerator), value.denominator) for value in numerals if value]
    return min(3 * prod(sizes), _MOST_SCALE)


def _scaled(point: Point, scale: int) -> Point:
    return {name: value * scale for name, value in point.items()}


def _whole_points(names: set[str]) -> Iterator[Point]:
    for start in _WHOLE:
        yield {name: Fraction(start + (place if start > 0 else -place)) for place, name in enumerate(sorted(names))}
