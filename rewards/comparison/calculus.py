r"""Definite integrals of polynomials and simple derivatives, for links such as ``\int_0^1 2x\,dx = 1``."""

from __future__ import annotations

import re
from fractions import Fraction

from rewards.comparison.normal_form import normal_form
from rewards.comparison.numerals import TooLarge
from rewards.comparison.tree import Add, Call, Div, Mul, Num, Pow, Scalar, Sym, Uncovered, free_symbols

_BOUND = re.compile(r"bound (-?) ?([0-9]+)|bound \\frac \{ ([0-9]+) \} \{ ([0-9]+) \}")
_ZERO, _ONE = Num(Fraction(0)), Num(Fraction(1))
_MINUS_ONE = Num(Fraction(-1))


def integrated(call: Call) -> Scalar | None:
    """The value of an integral of a polynomial in one symbol between two rational bounds, else None.

    Raises:
        TooLarge: a power of a bound beyond the bounds of ``normal_form``.
    """
    lower, upper, body = call.arguments
    low, high = _bound(lower), _bound(upper)
    if low is None or high is None or not isinstance(body, Mul) or len(body.factors) < 2:
        return None
    *rest, mark, variable = body.factors
    if mark != Sym("d") or not isinstance(variable, Sym):
        return None
    powers = _powers(Mul(tuple(rest)) if rest else _ONE, variable.name)
    if powers is None:
        return None
    total = sum((c * (_raised(high, n + 1) - _raised(low, n + 1)) / (n + 1) for n, c in powers.items()), Fraction(0))
    return Num(total)


def _raised(bound: Fraction, exponent: int) -> Fraction:
    # Nested powers in the text make exponents of any size, and only powers of 0 and 1 stay small.
    if bound in (0, 1, -1):
        return bound**exponent
    return normal_form(Pow(Num(bound), Num(Fraction(exponent)))).constant() or Fraction(0)


def _bound(scalar: Scalar) -> Fraction | None:
    found = _BOUND.fullmatch(scalar.name) if isinstance(scalar, Sym) else None
    if found is None:
        return None
    if found[2]:
        return Fraction(int(found[2])) * (-1 if found[1] else 1)
    return Fraction(int(found[3]), int(found[4])) if int(found[4]) else None


def _powers(scalar: Scalar, name: str) -> dict[int, Fraction] | None:
    """Coefficients of a polynomial in the symbol ``name`` and nothing else, by power."""
    try:
        form = normal_form(scalar)
    except (TooLarge, Uncovered):
        return None
    if form.bottom != {(): 1}:
        return None
    powers: dict[int, Fraction] = {}
    for monomial, value in form.top.items():
        names = [atom for atom, _ in monomial]
        if names not in ([], [("sym", name)]) or any(power.denominator != 1 or power < 0 for _, power in monomial):
            return None
        powers[int(monomial[0][1]) if monomial else 0] = value
    return powers


def derived(product: Mul) -> Scalar | None:
    r"""The derivative that ``\frac{d}{dx}`` in front of a product asks for, else None."""
    operator, *rest = product.factors
    if not isinstance(operator, Call) or operator.name != "derivative" or not rest:
        return None
    top, bottom = operator.arguments
    if top != Sym("d") or not isinstance(bottom, Mul) or len(bottom.factors) != 2 or bottom.factors[0] != Sym("d"):
        return None
    variable = bottom.factors[1]
    body: Scalar = rest[0] if len(rest) == 1 else Mul(tuple(rest))
    return derivative(body, variable.name) if isinstance(variable, Sym) else None


def derivative(scalar: Scalar, name: str) -> Scalar | None:
    """The derivative by the symbol ``name`` of sums, products, quotients, powers and the usual functions, else None."""
    if isinstance(scalar, Num) or name not in free_symbols(scalar):
        return _ZERO
    if isinstance(scalar, Sym):
        return _ONE
    if isinstance(scalar, Add):
        terms = [derivative(term, name) for term in scalar.terms]
        return None if None in terms else Add(tuple(terms))  # type: ignore[arg-type]
    if isinstance(scalar, Mul):
        return _of_product(scalar.factors, name)
    if isinstance(scalar, Div):
        return _of_product((scalar.top, Pow(scalar.bottom, _MINUS_ONE)), name)
    if isinstance(scalar, Pow):
        return _of_power(scalar, name)
    outer = _OUTER.get(scalar.name)
    inner = derivative(scalar.arguments[0], name)
    return (
        None if outer is None or inner is None or len(scalar.arguments) != 1 else Mul((_applied(outer, scalar), inner))
    )


def _of_product(factors: tuple[Scalar, ...], name: str) -> Scalar | None:
    terms: list[Scalar] = []
    for at, factor in enumerate(factors):
        change = derivative(factor, name)
        if change is None:
            return None
        terms.append(Mul((*factors[:at], change, *factors[at + 1 :])))
    return Add(tuple(terms))


def _of_power(power: Pow, name: str) -> Scalar | None:
    if name not in free_symbols(power.exponent):
        inner = derivative(power.base, name)
        lower = Pow(power.base, Add((power.exponent, _MINUS_ONE)))
        return None if inner is None else Mul((power.exponent, lower, inner))
    inner = derivative(power.exponent, name) if power.base == Sym("e") else None
    return None if inner is None else Mul((power, inner))


# The derivative of a function by its argument: a factor and a function of the same argument.
_OUTER = {"sin": (1, "cos"), "cos": (-1, "sin"), "ln": (1, "")}


def _applied(outer: tuple[int, str], call: Call) -> Scalar:
    sign, name = outer
    value: Scalar = Call(name, call.arguments) if name else Div(_ONE, call.arguments[0])
    return Mul((Num(Fraction(sign)), value))
