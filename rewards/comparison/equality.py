"""Whether two scalars are equal: exactly where a normal form decides, else by values of high precision."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from rewards.comparison.normal_form import MAX_EXPONENT, difference, independent, normal_form
from rewards.comparison.numerals import TooLarge
from rewards.comparison.numeric import POINTS, Undefined, evaluate, point_values, quick_value
from rewards.comparison.sample_points import extra_digits, further_points, near_points
from rewards.comparison.tree import Add, Div, Mul, Num, Pow, Scalar, Sym, Uncovered, free_symbols, walk

# Farther apart than this in double precision is different, whatever rounding did.
_CLEARLY = 1e-6
_DECIMAL_DIGITS = 6
_GUARD_DIGITS = 30
_MOST_SIZE = 2500
_INTEGRATION = {"C": "c", "c": "C"}


class NeedsPrecision(Exception):
    """Double precision finds two scalars equal and no exact form proves that: only a worker may spend more."""


def same_scalar(first: Scalar, second: Scalar, *, deep: bool) -> bool:
    """Whether two scalars are equal. A symbol of one side alone makes them differ, even where the symbol cancels.

    ``deep`` allows values of high precision, whose cost is bounded but not small.

    Raises:
        NeedsPrecision: without ``deep``, where only such values decide.
        TooLarge: beyond the bounds of exact and of numeric evaluation.
        Uncovered: a side has no value, such as a division by zero.
    """
    if first == second:
        return True
    if free_symbols(first) != free_symbols(second):
        return False
    decided = _exactly(first, second)
    if decided is not None:
        return decided or _approximates(first, second) or _approximates(second, first)
    if _approximates(first, second) or _approximates(second, first):
        return True
    return _numerically(first, second, deep=deep)


def _exactly(first: Scalar, second: Scalar) -> bool | None:
    """True or False where normal forms decide, else None."""
    try:
        one, other = normal_form(first), normal_form(second)
        rest = difference(one, other)
    except TooLarge:
        return None
    if not rest:
        return True
    return False if independent(rest) else None


def renamed_constant(scalar: Scalar, other: Scalar) -> Scalar:
    """``scalar`` with a lone summand c written as the ``other`` side writes the constant of integration."""
    if not isinstance(scalar, Add):
        return scalar
    names, wanted = free_symbols(scalar), free_symbols(other)
    for name, twin in _INTEGRATION.items():
        lone = scalar.terms.count(Sym(name)) == 1 and twin in wanted and name not in wanted and twin not in names
        if lone and name not in free_symbols(
            Add(tuple(term for term in scalar.terms if term != Sym(name)) or (scalar,))
        ):
            return Add(tuple(Sym(twin) if term == Sym(name) else term for term in scalar.terms))
    return scalar


def _approximates(decimal: Scalar, other: Scalar) -> bool:
    """Whether ``decimal``, of six significant digits or more, is ``other`` rounded or cut at its last place.

    ``other`` must have no exact decimal, since being near one is being wrong.
    """
    if not isinstance(decimal, Num) or decimal.digits < _DECIMAL_DIGITS or free_symbols(other):
        return False
    if isinstance(other, Num) and (other.digits or _ends(other.value)):
        return False
    try:
        constant = normal_form(other).constant()
        if constant is None:
            import mpmath

            with mpmath.workdps(_GUARD_DIGITS + decimal.digits):
                value = evaluate(other, {}, mpmath.mp)
                return _rounded_or_cut(value, _high(decimal.value), _high(_unit(decimal)))
    except (TooLarge, Undefined, Uncovered):
        return False
    return not _ends(constant) and _rounded_or_cut(constant, decimal.value, _unit(decimal))


def _rounded_or_cut(value: Any, decimal: Any, unit: Any) -> bool:
    """Whether ``decimal`` is the nearest multiple of ``unit`` to ``value``, or the next one towards zero."""
    distance = abs(value - decimal)
    return bool(distance <= unit / 2 or (distance < unit and abs(decimal) <= abs(value)))


def _unit(decimal: Num) -> Fraction:
    return Fraction(1, 10**decimal.places)


def _high(value: Fraction) -> Any:
    import mpmath

    return mpmath.mpf(value.numerator) / value.denominator


def _ends(value: Fraction) -> bool:
    """Whether the decimal expansion of ``value`` ends."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def _numerically(first: Scalar, second: Scalar, *, deep: bool) -> bool:
    import mpmath

    points = near_points(first, second)
    # Without an i in either text, a complex value means a point outside the domain.
    imaginary = any(isinstance(part, Sym) and part.name == "i" for side in (first, second) for part in _scalars(side))
    for values in points:
        distance = _distance(first, second, values, mpmath.fp, imaginary)
        # Double precision settles clear differences before high precision is paid for.
        if distance is not None and distance > _CLEARLY:
            return False
    if not deep:
        raise NeedsPrecision
    further = further_points(first, second)
    # Far points need more digits, and rounding settles nothing there.
    size = (scalar_size(first) + scalar_size(second)) * (1 + extra_digits(further) // 2)
    if size > _MOST_SIZE:
        raise TooLarge("precision")
    with mpmath.workdps(_GUARD_DIGITS * 2 + 2 * size):
        distances = [_distance(first, second, values, mpmath.mp, imaginary) for values in (*points, *further)]
        tolerance = mpmath.mpf(10) ** -(_GUARD_DIGITS + size)
        defined = [distance for distance in distances if distance is not None]
        return bool(defined) and all(distance < tolerance for distance in defined)


def _scalars(scalar: Scalar) -> list[Scalar]:
    return list(walk(scalar))  # type: ignore[arg-type]


def _distance(first: Scalar, second: Scalar, values: dict[str, Fraction], context: object, imaginary: bool) -> Any:
    """Relative distance at a point; None where neither side is defined, infinite where one side is."""
    sides = []
    for scalar in (first, second):
        try:
            sides.append(evaluate(scalar, values, context, complex_allowed=imaginary))
        except Undefined:
            sides.append(None)
    if None in sides:
        return None
    largest = max(abs(sides[0]), abs(sides[1]))
    return abs(sides[0] - sides[1]) / largest if largest else 0


def scalar_size(scalar: Scalar) -> int:
    """Upper estimate of the decimal digits by which two values built like ``scalar`` can differ.

    Raises:
        TooLarge: an exponent or an argument beyond the bounds.
    """
    if isinstance(scalar, Num):
        # Python writes no integer of more than 4,300 digits, so bits are counted.
        bits = scalar.value.numerator.bit_length() + scalar.value.denominator.bit_length()
        return bits * 30103 // 100_000 + 2
    if isinstance(scalar, Sym):
        return 2
    if isinstance(scalar, Add | Mul):
        return sum(scalar_size(part) for part in (scalar.terms if isinstance(scalar, Add) else scalar.factors))
    if isinstance(scalar, Div):
        return scalar_size(scalar.top) + scalar_size(scalar.bottom)
    if isinstance(scalar, Pow):
        return scalar_size(scalar.base) * (1 + _magnitude(scalar.exponent)) + scalar_size(scalar.exponent)
    # The functions of the list grow no faster than the argument.
    steep = scalar.name not in ("root", "abs", "ln", "log", "lg", "degrees")
    return sum(scalar_size(part) + (_magnitude(part) if steep else 0) for part in scalar.arguments)


def _magnitude(scalar: Scalar) -> int:
    """Size of a value at the first point, as far as it is defined."""
    try:
        value = quick_value(scalar, point_values(free_symbols(scalar), POINTS[0]), complex_allowed=True)
    except Undefined:
        return 1
    if abs(value) > MAX_EXPONENT:
        raise TooLarge("argument")
    return int(abs(value)) + 1
