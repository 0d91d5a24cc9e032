r"""Exact normal form of scalars: a quotient of polynomials with rational coefficients in atoms.

Atoms are symbols, prime numbers under a fractional power, and functions or powers that nothing resolves further. Two
scalars with the same normal form are equal. Where all atoms are independent, different forms are different values.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from rewards.comparison.integer_functions import evaluated
from rewards.comparison.numerals import TooLarge
from rewards.comparison.spellings import BIG_NAMES
from rewards.comparison.tree import Add, Call, Div, Mul, Num, Pow, Scalar, Sym, Uncovered
from rewards.comparison.work import spend

Atom = tuple[str, Hashable]
Monomial = tuple[tuple[Atom, Fraction], ...]
Polynomial = Mapping[Monomial, Fraction]

MAX_EXPONENT = 1000
_MOST_TERMS = 400
_MOST_PRODUCTS = 40_000
# Python writes no integer of more than 4,300 digits, and keys are sorted as text.
_MOST_BITS = 14_000
_LARGEST_FACTOR = 2000
_ONE: dict[Monomial, Fraction] = {(): Fraction(1)}
ZERO, ONE = Fraction(0), Fraction(1)


@dataclass(frozen=True)
class Form:
    """``top`` over ``bottom``; both are polynomials and ``bottom`` is not zero."""

    top: Polynomial
    bottom: Polynomial

    def constant(self) -> Fraction | None:
        """The rational value, or None."""
        top, bottom = rational(self.top), rational(self.bottom)
        return None if top is None or bottom is None else top / bottom


@lru_cache(maxsize=4096)
def normal_form(scalar: Scalar) -> Form:
    """The normal form of ``scalar``.

    Raises:
        TooLarge: a form or a number beyond the bounds.
        Uncovered: division by zero, or infinity inside arithmetic.
    """
    if isinstance(scalar, Num):
        return Form({(): scalar.value} if scalar.value else {}, _ONE)
    if isinstance(scalar, Sym):
        return _atom_form(("sym", scalar.name))
    if isinstance(scalar, Add):
        return _total([normal_form(term) for term in scalar.terms])
    if isinstance(scalar, Mul):
        return _product([normal_form(factor) for factor in scalar.factors])
    if isinstance(scalar, Div):
        return divide(normal_form(scalar.top), normal_form(scalar.bottom))
    if isinstance(scalar, Pow):
        return _power(normal_form(scalar.base), normal_form(scalar.exponent))
    return _call(scalar)


def difference(first: Form, second: Form) -> Polynomial:
    """Top of ``first`` minus ``second``: empty if and only if the forms are equal."""
    if first.bottom == second.bottom:
        return _add(first.top, _scale(second.top, -ONE))
    return _add(multiply(first.top, second.bottom), _scale(multiply(second.top, first.bottom), -ONE))


def independent(polynomial: Polynomial) -> bool:
    """Whether no relation can hold between the atoms, so that a polynomial with a term is not zero.

    Symbols are independent; so are square roots of products of distinct primes, pi and the imaginary unit.
    """
    names = set()
    for monomial in polynomial:
        for atom, exponent in monomial:
            if atom[0] == "sym":
                names.add(atom[1])
                if exponent.denominator != 1:
                    return False
            elif atom[0] != "prime":
                return False
    # Nobody knows whether pi and e are algebraically independent.
    return not {"pi", "e"} <= names


def rational(polynomial: Polynomial) -> Fraction | None:
    """The value of a polynomial without atoms, else None."""
    if not polynomial:
        return ZERO
    return polynomial.get(()) if len(polynomial) == 1 else None


def key(form: Form) -> Hashable:
    """Hashable form, scaled so that the first coefficient of the bottom is one."""
    # Atoms of several types have no common order but the order of the texts.
    lead = form.bottom[min(form.bottom, key=repr)]
    return tuple(
        tuple(sorted(((monomial, value / lead) for monomial, value in side.items()), key=repr))
        for side in (form.top, form.bottom)
    )


def _atom_form(atom: Atom, exponent: Fraction = ONE) -> Form:
    return Form({((atom, exponent),): ONE}, _ONE)


def _checked(value: Fraction) -> Fraction:
    if value.numerator.bit_length() + value.denominator.bit_length() > _MOST_BITS:
        raise TooLarge("number")
    return value


def _add(first: Polynomial, second: Polynomial) -> Polynomial:
    total = dict(first)
    for monomial, value in second.items():
        value = total.get(monomial, ZERO) + value
        if value:
            total[monomial] = value
        else:
            total.pop(monomial, None)
    if len(total) > _MOST_TERMS:
        raise TooLarge("terms")
    return total


def _scale(polynomial: Polynomial, factor: Fraction) -> Polynomial:
    return {monomial: value * factor for monomial, value in polynomial.items()} if factor else {}


def multiply(first: Polynomial, second: Polynomial) -> Polynomial:
    """The product, with powers of primes and of the imaginary unit reduced."""
    if len(first) * len(second) > _MOST_PRODUCTS:
        raise TooLarge("terms")
    spend(len(first) * len(second))
    total: dict[Monomial, Fraction] = {}
    for one, value in first.items():
        for other, factor in second.items():
            monomial, extra = _joined(one, other)
            total[monomial] = _checked(total.get(monomial, ZERO) + value * factor * extra)
    if len(total) > _MOST_TERMS:
        raise TooLarge("terms")
    return {monomial: value for monomial, value in total.items() if value}


def _joined(first: Monomial, second: Monomial) -> tuple[Monomial, Fraction]:
    if not first or not second:
        return first or second, ONE
    exponents = dict(first)
    for atom, exponent in second:
        exponents[atom] = exponents.get(atom, ZERO) + exponent
    return _reduced(exponents)


def _reduced(exponents: dict[Atom, Fraction]) -> tuple[Monomial, Fraction]:
    """Whole powers of primes go into the factor; the imaginary unit keeps the powers 0 and 1."""
    factor = ONE
    kept: list[tuple[Atom, Fraction]] = []
    for atom, exponent in exponents.items():
        if atom[0] == "prime":
            whole = math.floor(exponent)
            if abs(whole) > MAX_EXPONENT:
                raise TooLarge("exponent")
            factor *= Fraction(str(atom[1])) ** whole
            exponent -= whole
        elif atom == ("sym", "i") and exponent.denominator == 1:
            factor *= -1 if exponent % 4 in (2, 3) else 1
            exponent = Fraction(exponent % 2)
        if exponent:
            kept.append((atom, exponent))
    return tuple(sorted(kept, key=_order)), factor


def _order(entry: tuple[Atom, Fraction]) -> tuple[str, str]:
    return entry[0][0], str(entry[0][1])


def _total(forms: list[Form]) -> Form:
    result = forms[0]
    for form in forms[1:]:
        # A common bottom is kept, because products of bottoms grow fast.
        if result.bottom == form.bottom:
            result = Form(_add(result.top, form.top), result.bottom)
        else:
            top = _add(multiply(result.top, form.bottom), multiply(form.top, result.bottom))
            result = Form(top, multiply(result.bottom, form.bottom))
    return result


def _product(forms: list[Form]) -> Form:
    # A power of 1 has no prime factors, so the list may be empty.
    result = Form(_ONE, _ONE)
    for form in forms:
        result = Form(multiply(result.top, form.top), multiply(result.bottom, form.bottom))
    return _cancelled(result)


def divide(first: Form, second: Form) -> Form:
    """The quotient of two forms."""
    if not second.top:
        raise Uncovered("division by zero")
    return _cancelled(Form(multiply(first.top, second.bottom), multiply(first.bottom, second.top)))


def _cancelled(form: Form) -> Form:
    """A bottom of one term moves to the top."""
    if len(form.bottom) != 1 or form.bottom == _ONE:
        return form
    ((monomial, value),) = form.bottom.items()
    inverse: Monomial
    inverse, extra = _reduced({atom: -exponent for atom, exponent in monomial})
    return Form(multiply(form.top, {inverse: _checked(extra / value)}), _ONE)


def _power(base: Form, exponent: Form) -> Form:
    value = exponent.constant()
    if value is None:
        return _general_power(base, exponent)
    if value.denominator == 1:
        return _whole_power(base, int(value))
    return _root(base, value)


def _whole_power(base: Form, exponent: int) -> Form:
    if abs(exponent) > MAX_EXPONENT:
        raise TooLarge("exponent")
    if exponent < 0:
        return _whole_power(divide(Form(_ONE, _ONE), base), -exponent)
    return Form(_raised(base.top, exponent), _raised(base.bottom, exponent))


def _raised(polynomial: Polynomial, exponent: int) -> Polynomial:
    # The number of terms is known beforehand, so a hopeless power costs no work.
    if len(polynomial) > 1 and math.comb(len(polynomial) + exponent - 1, exponent) > 4 * _MOST_TERMS:
        raise TooLarge("power of a sum")
    bits = max(
        (value.numerator.bit_length() + value.denominator.bit_length() for value in polynomial.values()), default=0
    )
    if bits * exponent > 2 * _MOST_BITS:
        raise TooLarge("power")
    result: Polynomial = _ONE
    while exponent:
        if exponent & 1:
            result = multiply(result, polynomial)
        # The square after the last bit would go unused and might be too large.
        exponent >>= 1
        if exponent:
            polynomial = multiply(polynomial, polynomial)
    return result


def _root(base: Form, exponent: Fraction) -> Form:
    """A fractional power: term by term for a single positive term, else an atom of its own."""
    if abs(exponent) > MAX_EXPONENT:
        raise TooLarge("exponent")
    if not base.top:
        return Form({}, _ONE)
    if base.bottom != _ONE:
        return divide(_root(Form(base.top, _ONE), exponent), _root(Form(base.bottom, _ONE), exponent))
    if len(base.top) == 1:
        ((monomial, value),) = base.top.items()
        if all(power == 1 or atom[0] == "prime" for atom, power in monomial) and ("sym", "i") not in dict(monomial):
            signed = _root_of_number(value, exponent)
            if signed is not None:
                exponents, extra = _reduced({atom: power * exponent for atom, power in monomial})
                return Form(multiply(signed.top, {exponents: extra}), _ONE)
    content = _content(base.top)
    inner = Form(_scale(base.top, 1 / content), _ONE)
    outer = _root_of_number(content, exponent)
    whole, part = divmod(exponent, 1)
    atom = _atom_form(("root", (key(inner), exponent.denominator)), part * exponent.denominator)
    return _product([outer or Form(_ONE, _ONE), atom, _whole_power(inner, int(whole))])


def _content(polynomial: Polynomial) -> Fraction:
    """The positive rational that makes the coefficients coprime integers."""
    bottom = math.lcm(*(value.denominator for value in polynomial.values()))
    top = math.gcd(*(int(value * bottom) for value in polynomial.values()))
    return Fraction(top, bottom)


def _root_of_number(value: Fraction, exponent: Fraction) -> Form | None:
    """``value ** exponent`` for a rational. A negative number has a real odd root, and i under a square root."""
    sign: Form | None = None
    if value < 0:
        if exponent.denominator % 2 == 1:
            sign = Form({(): Fraction(-1 if exponent.numerator % 2 else 1)}, _ONE)
        elif exponent.denominator == 2:
            sign = _whole_power(_atom_form(("sym", "i")), exponent.numerator)
        else:
            return None
    exponents: dict[Atom, Fraction] = {}
    for number, direction in ((abs(value.numerator), 1), (value.denominator, -1)):
        for prime, power in _factors(number).items():
            atom: Atom = ("prime", prime)
            exponents[atom] = exponents.get(atom, ZERO) + direction * power * exponent
    monomial, factor = _reduced(exponents)
    form = Form({monomial: factor}, _ONE)
    return form if sign is None else _product([sign, form])


@lru_cache(maxsize=4096)
def _factors(number: int) -> dict[int, int]:
    """Prime factors up to a bound; what is left after that is taken as one factor, a perfect power as its root."""
    factors: dict[int, int] = {}
    divisor = 2
    while divisor * divisor <= number and divisor <= _LARGEST_FACTOR:
        while number % divisor == 0:
            factors[divisor] = factors.get(divisor, 0) + 1
            number //= divisor
        divisor += 1 if divisor == 2 else 2
    if number > 1:
        root = math.isqrt(number)
        square = root * root == number
        factors[root if square else number] = 2 if square else 1
    return factors


def _general_power(base: Form, exponent: Form) -> Form:
    """``base ** exponent`` with symbols in the exponent: one power for each term of the exponent."""
    if exponent.bottom != _ONE or not base.top:
        return _atom_form(("power", (key(base), key(exponent))))
    parts: list[Form] = []
    for monomial, value in exponent.top.items():
        if not monomial:
            parts.append(_power(base, Form({(): value}, _ONE)))
        else:
            parts += [_power_atom(one, monomial, value * times) for one, times in _bases(base)]
    return _product(parts)


def _power_atom(base: Hashable, monomial: Monomial, value: Fraction) -> Form:
    whole = value.numerator
    return _atom_form(("power", (base, monomial, value.denominator)), Fraction(whole))


def _bases(base: Form) -> list[tuple[Hashable, Fraction]]:
    """A positive rational base as its prime factors, any other base as one."""
    value = base.constant()
    if value is None or value <= 0:
        return [(key(base), ONE)]
    top, bottom = _factors(value.numerator), _factors(value.denominator)
    return [*((prime, Fraction(power)) for prime, power in top.items()),
            *((prime, Fraction(-power)) for prime, power in bottom.items())]  # fmt: skip


def _call(call: Call) -> Form:
    if call.name == "root":
        index = normal_form(call.arguments[1]).constant()
        if not index:
            raise Uncovered("root")
        return _power(normal_form(call.arguments[0]), Form({(): 1 / index}, _ONE))
    if call.name in BIG_NAMES:
        return _atom_form((call.name, (*map(str, call.arguments[:2]), key(normal_form(call.arguments[2])))))
    forms = [normal_form(argument) for argument in call.arguments]
    if call.name == "degrees":
        return _product([forms[0], Form({((("sym", "pi"), ONE),): Fraction(1, 180)}, _ONE)])
    constants = [form.constant() for form in forms]
    if None not in constants:
        value = evaluated(call.name, [constant for constant in constants if constant is not None])
        if value is not None:
            return Form({(): value} if value else {}, _ONE)
    if call.name == "ln" and (known := _logarithm(forms[0])) is not None:
        return known
    if call.name == "log" and len(forms) == 2:
        return divide(_ln(forms[0]), _ln(forms[1]))
    return _atom_form((call.name, tuple(key(form) for form in forms)))


def _ln(form: Form) -> Form:
    return _logarithm(form) or _atom_form(("ln", (key(form),)))


def _logarithm(form: Form) -> Form | None:
    """Logarithm of a positive rational or of a power of e as a sum over prime factors."""
    value = form.constant()
    if value is not None and value > 0:
        terms: dict[Monomial, Fraction] = {}
        for number, direction in ((value.numerator, 1), (value.denominator, -1)):
            for prime, power in _factors(number).items():
                atom: Atom = ("ln", (key(Form({(): Fraction(prime)}, _ONE)),))
                terms[((atom, ONE),)] = Fraction(direction * power)
        return Form(terms, _ONE)
    if form.bottom == _ONE and list(form.top.values()) == [ONE]:
        (monomial,) = form.top
        if len(monomial) == 1 and monomial[0][0] == ("sym", "e"):
            return Form({(): monomial[0][1]}, _ONE)
    return None
