r"""Named functions and big operators inside a formula."""

from __future__ import annotations

import re

from rewards.comparison import spellings as spell
from rewards.comparison.cursor import Cursor
from rewards.comparison.substitution import put, rebuilt
from rewards.comparison.tree import MINUS_ONE, Add, Call, Div, Mul, Pow, Scalar, Sym, Uncovered, free_symbols

_WORK = {"factorial": "factorial", "binomial": "binom"}
FUNCTION_WORDS = spell.FUNCTIONS | spell.INTEGER_FUNCTIONS | {"sqrt", "abs"}
_INDEX = re.compile(r"bound ([A-Za-z]) = (.+)")
_TENDS = re.compile(r"bound (?!\\approx)[A-Za-z\\_, 0-9]+ \\to .+")
_OF_SEVERAL = frozenset(("max", "min", "sup", "inf", "gcd", "lcm"))
_INVERSES = {"sin": "arcsin", "cos": "arccos", "tan": "arctan", "cot": "arccot", "sec": "arcsec", "csc": "arccsc"}


class FunctionReader(Cursor):
    """Reads a function, what is written at its name, and its arguments."""

    def _function(self, name: str) -> Scalar:
        name = _WORK.get(name, name)
        if name == "sqrt":
            return self._root()
        exponent: Scalar | None = None
        base: Scalar | None = None
        while (mark := self.value()) in ("^", "_") and not (mark == "^" and self._degree_follows()):
            self._at += 1
            if mark == "^":
                exponent = self._argument(sign=True)
            else:
                base = self._argument()
        applied = function_of(name, base, self._function_arguments(name), exponent)
        return applied

    def _function_arguments(self, name: str) -> tuple[Scalar, ...]:
        item = self.peek()
        if item is None:
            raise Uncovered(name)
        if (item.is_("(", "[", r"\{") and name in spell.INTEGER_FUNCTIONS) or item.is_("(", "["):
            self._at += 1
            arguments = [self.sum()]
            while self._accept(","):
                arguments.append(self.sum())
            self._expect({"(": ")", "[": "]", r"\{": r"\}"}[item.value])
            return tuple(arguments)
        if item.is_("{"):
            return (self._group("{"),)
        return (self._function_product(),)

    def _function_product(self) -> Scalar:
        r"""The argument without brackets: ``\sin 2x``, ``\ln x^2``; it ends before the next function or bracket."""
        product = self._signed()
        while self._begins_factor() and not self._begins_function() and not self._begins_differential():
            product = times(product, self._power())
        while self.value() == "/" and not self._begins_function():
            self._at += 1
            product = Div(product, self._signed())
        return product

    def _begins_differential(self) -> bool:
        """Under an integral ``dx`` belongs to the integral, and no function without brackets takes it."""
        following = self._items[self._at : self._at + 2]
        letters = len(following) == 2 and all(item.kind == "letter" for item in following)
        return letters and self._integrals > 0 and following[0].value == "d"

    def _begins_function(self) -> bool:
        item = self.peek()
        if item is None:
            return False
        name = item.value.removeprefix("\\")
        return (name in FUNCTION_WORDS and name != "sqrt" and item.value != r"\sqrt") or item.is_("(")

    def _big_operator(self, name: str) -> Scalar:
        lower = upper = Sym("none")
        while (mark := self.value()) in ("_", "^"):
            self._at += 1
            if mark == "_":
                lower = Sym("bound " + self._raw_argument())
            else:
                upper = Sym("bound " + self._raw_argument())
        counted = isinstance(lower, Sym) and " = " in lower.name
        if name in ("sum", "prod") and counted != (upper != Sym("none")):
            raise Uncovered(name)  # a lost limit would change the value without a word
        if name == "lim" and isinstance(lower, Sym) and lower != Sym("none") and not _TENDS.fullmatch(lower.name):
            raise Uncovered(name)
        # An integral covers a whole sum up to the differential, a sum sign covers a product.
        if name in spell.INTEGRAL_NAMES:
            self._integrals += 1
            body = self._integrand()
            self._integrals -= 1
        else:
            body = self._product()
        if lower == upper == Sym("none") and not free_symbols(body):
            raise Uncovered(name)
        return _with_index(Call(name, (lower, upper, body)))

    def _integrand(self) -> Scalar:
        """Terms up to the one that ends in a differential."""
        terms = [self._product()]
        while not _ends_in_differential(terms[-1]) and (item := self.peek()) is not None and item.is_("+", "-"):
            self._at += 1
            term = self._product()
            terms.append(term if item.value == "+" else times(MINUS_ONE, term))
        return terms[0] if len(terms) == 1 else Add(tuple(terms))

    def _raw_argument(self) -> str:
        """The limits of a sum or integral, token by token."""
        if self.value() != "{":
            return self._take().value
        depth, words = 0, []
        while True:
            item = self._take()
            depth += item.is_("{") - item.is_("}")
            words.append(item.value)
            if depth == 0:
                return " ".join(words[1:-1])


def _reindexed(scalar: Scalar, old: str) -> Scalar:
    """The index under its common name, in subscripts as well."""
    if isinstance(scalar, Sym):
        name = scalar.name
        return Sym(name[: -len(old)] + "index") if name == old or name.endswith(f"_{old}") else scalar
    return rebuilt(scalar, lambda part: _reindexed(part, old))


def _ends_in_differential(term: Scalar) -> bool:
    return isinstance(term, Mul) and len(term.factors) > 1 and term.factors[-2] == Sym("d")


def _with_index(call: Call) -> Call:
    """The variable of a sum, product or integral under one name, where nothing else has that name."""
    lower, upper, body = call.arguments
    found = _INDEX.fullmatch(lower.name) if isinstance(lower, Sym) else None
    if call.name in ("sum", "prod") and found is not None:
        return Call(call.name, (Sym(f"bound index = {found[2]}"), upper, _reindexed(body, found[1])))
    # The integration variable stands last, after d.
    last = body.factors[-2:] if isinstance(body, Mul) else ()
    if call.name == "int" and len(last) == 2 and last[0] == Sym("d") and isinstance(last[1], Sym):
        return Call(call.name, (lower, upper, put(body, last[1].name, Sym("index"))))
    return call


def function_of(name: str, base: Scalar | None, arguments: tuple[Scalar, ...], exponent: Scalar | None) -> Scalar:
    """A function with what is written at its name: a base of a logarithm, a power of the value, or an inverse."""
    if base is None and name in _OF_SEVERAL and len(arguments) == 1 and not free_symbols(arguments[0]):
        raise Uncovered(name)  # the largest of one number is a sign that says nothing
    if base is not None:
        if name == "log":
            arguments = (*arguments, base)
        elif name not in ("max", "min", "sup", "inf"):
            raise Uncovered(name)
        else:
            arguments = (*arguments, base)
    # By convention the power -1 at the name means the inverse function.
    if exponent == MINUS_ONE and name in _INVERSES:
        return Call(_INVERSES[name], arguments)
    call: Scalar = Call(name, arguments)
    if name == "exp":
        call = Pow(Sym("e"), arguments[0])
    return call if exponent is None else Pow(call, exponent)


def times(left: Scalar, right: Scalar) -> Scalar:
    """The product of two factors, flattened on the left."""
    return Mul((*left.factors, right)) if isinstance(left, Mul) else Mul((left, right))
