r"""Values of scalars at points, for what the normal form cannot decide.

The same evaluation runs on floats (``mpmath.fp``) and on numbers of any precision (``mpmath.mp``).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from rewards.comparison.spellings import BIG_NAMES
from rewards.comparison.tree import Add, Call, Div, Mul, Num, Pow, Scalar, Sym
from rewards.wordlists import words

# Values of variables: irregular, away from 0 and 1; the later points have other signs.
POINTS = ((1.3719, 0.61), (2.2311, 0.37), (0.4517, 0.83), (-0.7319, 0.71), (-1.9127, 1.13))


class Undefined(Exception):
    """No finite value, or no real one where all is real."""


def point_values(names: set[str], point: tuple[float, float]) -> dict[str, Fraction]:
    """A value for each name, different for different names and the same in every process."""
    start, step = (Fraction(part).limit_denominator(10_000) for part in point)
    return {name: start + step * Fraction(zlib.crc32(name.encode()) % 9973, 9973) * _sign(start) for name in names}


def _sign(number: Fraction) -> int:
    return 1 if number > 0 else -1


def evaluate(scalar: Scalar, values: Mapping[str, Fraction], context: Any, *, complex_allowed: bool = False) -> Any:
    """Value of ``scalar`` as a number of ``context``.

    Raises:
        Undefined: no value at this point.
    """
    import mpmath  # at first use: exact answers, which are most, do without

    try:
        result = _Evaluation(values, context, complex_allowed).value(scalar)
        finite = bool(mpmath.isfinite(result))
    except (ArithmeticError, ValueError, TypeError, mpmath.libmp.NoConvergence) as error:
        raise Undefined(str(error)) from error
    if not finite:
        raise Undefined("not finite")
    return result


def quick_value(scalar: Scalar, values: Mapping[str, Fraction], *, complex_allowed: bool = False) -> Any:
    """``evaluate`` in double precision."""
    import mpmath

    return evaluate(scalar, values, mpmath.fp, complex_allowed=complex_allowed)


def real_value(scalar: Scalar) -> float:
    """The value of a scalar without symbols in double precision, for comparisons by size.

    Raises:
        Undefined: no value, or a complex one, which is neither more nor less than another.
    """
    value = quick_value(scalar, {})
    if _is_complex(value):
        raise Undefined("not real")
    return float(value)


def _is_complex(value: Any) -> bool:
    """Whether a value of either context has an imaginary part of its own type."""
    # Each context of mpmath makes another class mpc, so names are compared.
    return isinstance(value, complex) or type(value).__name__ == "mpc"


class _Evaluation:
    def __init__(self, values: Mapping[str, Fraction], context: Any, complex_allowed: bool) -> None:
        self._values, self._context, self._complex = values, context, complex_allowed

    def value(self, scalar: Scalar) -> Any:
        if isinstance(scalar, Num):
            return self._number(scalar.value)
        if isinstance(scalar, Sym):
            return self._symbol(scalar.name)
        if isinstance(scalar, Add):
            return sum((self.value(term) for term in scalar.terms), self._context.mpf(0))
        if isinstance(scalar, Mul):
            product = self._context.mpf(1)
            for factor in scalar.factors:
                product = product * self.value(factor)
            return product
        if isinstance(scalar, Div):
            return self.value(scalar.top) / self.value(scalar.bottom)
        if isinstance(scalar, Pow):
            return self._power(self.value(scalar.base), scalar.exponent)
        return self._call(scalar)

    def _number(self, value: Fraction) -> Any:
        return self._context.mpf(value.numerator) / self._context.mpf(value.denominator)

    def _symbol(self, name: str) -> Any:
        context = self._context
        if name == "i":
            return context.mpc(0, 1)
        if name in ("pi", "e"):
            # The product turns mpmath's lazy constant into a number.
            return context.pi * 1 if name == "pi" else context.e * 1
        if name == "oo" or name not in self._values:
            raise Undefined(name)
        return self._number(self._values[name])

    def _real(self, value: Any) -> Any:
        """A complex value where everything is real is a point outside the domain."""
        if self._complex or not _is_complex(value):
            return value
        raise Undefined("not real")

    def _power(self, base: Any, exponent: Scalar) -> Any:
        if isinstance(exponent, Div) and isinstance(exponent.top, Num) and isinstance(exponent.bottom, Num):
            fraction = exponent.top.value / exponent.bottom.value if exponent.bottom.value else Fraction(0)
            return self._rational_power(base, fraction)
        value = self.value(exponent)
        if abs(value) > 10**6:
            raise Undefined("exponent")
        return self._real(base**value)

    def _rational_power(self, base: Any, exponent: Fraction) -> Any:
        odd = exponent.denominator % 2 == 1
        if odd and not _is_complex(base) and base < 0:
            # mpmath gives the complex root of a negative number, and answers mean the real root.
            size = (-base) ** self._number(exponent)
            return -size if exponent.numerator % 2 else size
        return self._real(base ** self._number(exponent))

    def _call(self, call: Call) -> Any:
        if call.name == "derivative" or call.name in BIG_NAMES:
            raise Undefined(call.name)
        values = [self.value(argument) for argument in call.arguments]
        if call.name.startswith("apply"):
            return self._unknown_function(call.name, values)
        if call.name == "root":
            index = call.arguments[1]
            if isinstance(index, Num) and index.value:
                return self._rational_power(values[0], 1 / index.value)
            return self._real(values[0] ** (1 / values[1]))
        return self._real(self._known(call.name, values))

    def _unknown_function(self, name: str, values: list[Any]) -> Any:
        """Some fixed function of the arguments that no identity is likely to hold for."""
        weight = self._number(Fraction(zlib.crc32(name.encode()) % 9967, 9967)) + 1
        total = weight
        for value in values:
            total = total * weight + self._context.sin(value * weight + total)
        return total

    def _known(self, name: str, values: list[Any]) -> Any:
        context = self._context
        first = values[0]
        if name in ("log", "lg"):
            return context.log(first) / context.log(values[1] if len(values) > 1 else context.mpf(10))
        if name == "ln":
            return context.log(first)
        if name == "degrees":
            return first * context.pi / 180
        if name == "abs":
            return abs(first)
        if name in _DIRECT:
            return getattr(context, _DIRECT[name])(*values)
        if name in ("max", "min"):
            return (max if name == "max" else min)(values)
        raise Undefined(name)


_DIRECT = {name: name for name in words(
        "sin cos tan cot sec csc sinh cosh tanh coth sech csch exp floor ceil",
    )} | {
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arccot": "acot", "arcsec": "asec", "arccsc": "acsc",
    "arsinh": "asinh", "arcosh": "acosh", "artanh": "atanh", "factorial": "factorial", "binom": "binomial",
}  # fmt: skip
