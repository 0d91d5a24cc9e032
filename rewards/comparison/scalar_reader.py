r"""Items to a scalar expression: recursive descent that accepts all items or raises ``Uncovered``."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from rewards.comparison import spellings as spell
from rewards.comparison.function_reader import FUNCTION_WORDS, FunctionReader, times
from rewards.comparison.items import Item
from rewards.comparison.numeral_reader import NumeralReader
from rewards.comparison.splitting import closing
from rewards.comparison.tree import MINUS_ONE, Add, Call, Div, Num, Pow, Scalar, Sym, Uncovered, walk

_MOST_DEPTH = 40
_CLOSERS = {"(": ")", "[": "]", "{": "}", "|": "|", r"\lfloor": r"\rfloor", r"\lceil": r"\rceil", r"\Vert": r"\Vert"}
INFINITY = Sym("oo")
_HALF = Num(Fraction(1, 2))
_NAMED = {"pi": "pi", r"\pi": "pi", r"\infty": "oo", "infty": "oo", "inf": "oo", "oo": "oo", "infinity": "oo"}
_APPLIED = frozenset("fghFGH")
_SUBSCRIPT_SIGNS = frozenset("+-,'*()")
_SUBSCRIPT_COMMANDS = spell.GREEK | {r"\max", r"\min", r"\infty", r"\triangle"}
_DERIVATIVE = ("d", r"\partial")


def read_scalar(items: Sequence[Item]) -> Scalar:
    """The expression that ``items`` are, all of them.

    Raises:
        Uncovered: an item without an owner, or a spelling that this grammar does not have.
    """
    reader = ScalarReader(items)
    scalar = reader.whole()
    if reader.peek() is not None:
        raise Uncovered(reader.value())
    # Infinity is an end of an interval or a whole value, and no number to compute with.
    if scalar not in (INFINITY, negative(INFINITY)) and INFINITY in walk(scalar):
        raise Uncovered("infinity")
    return scalar


class ScalarReader(NumeralReader, FunctionReader):
    """One pass over the items; each method reads one level of precedence and leaves the rest."""

    def whole(self) -> Scalar:
        """The content of a group, which may be a fraction or a binomial coefficient in the old spelling."""
        sign = self._infix()
        return self._divided(sign) if sign else self.sum()

    def sum(self) -> Scalar:
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise Uncovered("depth")
        terms = [self._product()]
        while (item := self.peek()) is not None and item.is_("+", "-"):
            self._at += 1
            term = self._product()
            terms.append(term if item.value == "+" else negative(term))
        self._depth -= 1
        return terms[0] if len(terms) == 1 else Add(tuple(terms))

    def _product(self) -> Scalar:
        product = self._signed()
        while True:
            if self._accept("*", r"\cdot", r"\times"):
                self._refuse_vector_product(product)
                product = times(product, self._signed())
            elif self._accept("/", r"\div"):
                product = Div(product, self._signed())
            elif self._begins_factor() or self._after_factorial():
                product = times(product, self._power())
            else:
                return product

    def _after_factorial(self) -> bool:
        """A numeral after an exclamation mark is a factor: ``3!4!``."""
        item = self.peek()
        return item is not None and item.kind == "num" and self._at > 0 and self._items[self._at - 1].is_("!")

    def _refuse_vector_product(self, left: Scalar) -> None:
        r"""``\cdot`` and ``\times`` differ between vectors, whose products are not read."""
        item = self.peek()
        ends_in_vector = isinstance(left, Sym) and left.name.endswith("|vector")
        if ends_in_vector and item is not None and item.font == "vector":
            raise Uncovered(item.value)

    def _begins_factor(self) -> bool:
        item = self.peek()
        if item is None or (item.text and item.kind != "num"):
            return False
        if item.kind == "letter":
            return True
        if item.kind == "word":
            return item.value in FUNCTION_WORDS or item.value in _NAMED
        if item.kind == "num":
            return False
        if item.is_("|"):
            # Inside bars the next bar closes and opens nothing.
            return self._bars == 0
        if item.is_("{") and self._prints_one_numeral():
            return False
        return item.value in _FACTOR_SIGNS

    def _prints_one_numeral(self) -> bool:
        """Whether the group ahead begins with a numeral that prints together with a numeral before: ``1{43}``."""
        following = next((item for item in self._items[self._at :] if not item.is_("{")), None)
        return (
            self._at > 0
            and self._items[self._at - 1].kind == "num"
            and following is not None
            and following.kind == "num"
        )

    def _signed(self) -> Scalar:
        sign = 1
        while (item := self.peek()) is not None and item.is_("+", "-"):
            self._at += 1
            sign = -sign if item.value == "-" else sign
        power = self._power()
        return power if sign == 1 else negative(power)

    def _power(self) -> Scalar:
        base = self._postfixed(self._atom())
        if self.value() == "^" and not self._degree_follows():
            self._expect("^")
            base = Pow(base, self._argument(sign=True))
        return self._postfixed(base)

    def _degree_follows(self) -> bool:
        at = self._at + 1
        if at < len(self._items) and self._items[at].is_("{"):
            at += 1
        return at < len(self._items) and self._items[at].is_(r"\circ")

    def _postfixed(self, base: Scalar) -> Scalar:
        while True:
            item = self.peek()
            if item is not None and item.is_("!"):
                self._at += 1
                # n!! is no factorial of a factorial.
                if self.value() == "!":
                    raise Uncovered("!!")
                base = Call("factorial", (base,))
            elif item is not None and item.is_("^") and self._degree_follows():
                self._at += 1
                braced = self._accept("{")
                self._expect(r"\circ")
                if braced:
                    self._expect("}")
                base = Call("degrees", (base,))
            elif self._accept(r"\circ*"):
                base = Call("degrees", (base,))
            else:
                return base

    def _argument(self, *, sign: bool = False) -> Scalar:
        """A group, or the one token (one digit, as TeX has it) that stands for one."""
        item = self.peek()
        if item is not None and item.is_("{"):
            return self._group("{")
        if item is not None and item.kind == "num" and "." not in item.value and not sign:
            return Num(Fraction(self._one_digit(item)))
        if sign:
            return self._exponent()
        if item is not None and (item.kind == "letter" or item.value in _NAMED):
            return self._atom()
        if item is not None and item.is_(r"\sqrt", r"\frac"):
            return self._atom()
        raise Uncovered(self.value())

    def _one_digit(self, item: Item) -> int:
        if len(item.value) > 1:
            # A copy, since the items belong to the caller.
            self._items = [*self._items]
            self._items[self._at] = Item("num", item.value[1:])
        else:
            self._at += 1
        return int(item.value[0])

    def _exponent(self) -> Scalar:
        """An exponent without braces: ``x^2``, ``2^-3``, ``x^n``, ``x^(1/2)``; ``x^10`` is read as people mean it."""
        if self._accept("-"):
            return negative(self._exponent())
        item = self.peek()
        if item is None or not (item.kind in ("num", "letter") or item.is_("(", r"\frac", r"\pi", r"\sqrt")):
            raise Uncovered(self.value())
        exponent = self._power() if item.kind in ("num", "letter") else self._atom()
        # In TeX the sign after x^2 belongs to the power, and in a hurry to the 2.
        if isinstance(exponent, Call) and exponent.name == "factorial":
            raise Uncovered("!")
        return exponent

    def _group(self, opening: str) -> Scalar:
        self._expect(opening)
        self._bars, bars = (self._bars + 1, self._bars) if opening == "|" else (0, self._bars)
        inner = self.whole()
        self._expect(_CLOSERS[opening])
        self._bars = bars
        return inner

    def _infix(self) -> str:
        r"""The ``\choose`` or ``\over`` that divides the rest of the group, or an empty string."""
        depth = 0
        for item in self._items[self._at :]:
            depth += item.is_("{") - item.is_("}")
            if depth < 0:
                return ""
            if depth == 0 and item.is_(r"\choose", r"\over"):
                return item.value
        return ""

    def _divided(self, sign: str) -> Scalar:
        top = self.sum()
        self._expect(sign)
        bottom = self.sum()
        return Div(top, bottom) if sign == r"\over" else Call("binom", (top, bottom))

    def _atom(self) -> Scalar:
        item = self._take()
        if item.kind == "num":
            return self._numeral(item)
        if item.kind == "letter" and not item.text:
            return self._letter(item)
        if item.value in _NAMED and item.kind in ("word", "cmd"):
            return Sym(_NAMED[item.value])
        if item.kind == "word" and item.value in FUNCTION_WORDS:
            return self._function(item.value)
        if item.kind == "cmd" and item.value[1:] in (spell.FUNCTIONS | spell.INTEGER_FUNCTIONS):
            return self._function(item.value[1:])
        if item.kind in ("sign", "cmd"):
            return self._marked(item)
        raise Uncovered(item.value)

    def _marked(self, item: Item) -> Scalar:
        value = item.value
        if value in ("(", "[", "{"):
            self._at -= 1
            return self._group(value)
        if value in ("|", r"\lfloor", r"\lceil"):
            self._at -= 1
            return Call({"|": "abs", r"\lfloor": "floor", r"\lceil": "ceil"}[value], (self._group(value),))
        if value == r"\frac":
            return self._fraction()
        if value == r"\sqrt":
            return self._root()
        if value == r"\binom":
            return Call("binom", (self._argument(), self._argument()))
        if value in spell.GREEK:
            return self._symbol(value, item.font)
        if value in spell.BIG_OPERATORS:
            return self._big_operator(value[1:])
        raise Uncovered(value)

    def _fraction(self) -> Scalar:
        if (derivative := self._derivative()) is not None:
            return derivative
        top = self._argument()
        return Div(top, self._argument())

    def _derivative(self) -> Scalar | None:
        r"""``\frac{dy}{dx}``: a quotient of differentials is one operator, which must not cancel."""
        if self.value() != "{" or self.value(1) not in _DERIVATIVE:
            return None
        end = closing(self._items, self._at)
        if end is None:
            return None
        rest = self._items[end + 1 : end + 3]
        if len(rest) < 2 or not rest[0].is_("{") or rest[1].value not in _DERIVATIVE:
            return None
        return Call("derivative", (self._argument(), self._argument()))

    def _root(self) -> Scalar:
        index: Scalar = Num(Fraction(2))
        if self.peek() is not None and self.value() == "[":
            index = self._group("[")
        radicand = self._group("(") if self.value() == "(" else self._argument()
        return Call("root", (radicand, index))

    def _letter(self, item: Item) -> Scalar:
        if item.value == "C" and self.value() == "(" and (binomial := self._as_binomial()) is not None:
            return binomial
        if item.value in _APPLIED and not item.font and self.value() in ("(", "'"):
            return self._applied(item)
        if item.value in ("e", "i") and item.font in ("",) and self.value() not in ("_", "'"):
            return Sym(item.value)
        return self._symbol(item.value, item.font)

    def _as_binomial(self) -> Scalar | None:
        start = self._at
        self._expect("(")
        top = self.sum()
        if not self._accept(","):
            self._at = start
            return None
        bottom = self.sum()
        self._expect(")")
        return Call("binom", (top, bottom))

    def _applied(self, item: Item) -> Scalar:
        name = item.value
        while self._accept("'"):
            name += "'"
        if self.value() != "(":
            return Sym(name)
        self._expect("(")
        arguments = [self.sum()]
        while self._accept(","):
            arguments.append(self.sum())
        self._expect(")")
        return Call(f"apply {name}", tuple(arguments))

    def _symbol(self, name: str, font: str) -> Scalar:
        if self._accept("_"):
            name += "_" + self._subscript()
        while self._accept("'"):
            name += "'"
        return Sym(f"{name}|{font}" if font else name)

    def _subscript(self) -> str:
        if not self._accept("{"):
            item = self._take()
            if item.kind not in ("num", "letter", "word") and item.value not in spell.GREEK:
                raise Uncovered(item.value)
            return item.value
        parts: list[str] = []
        while not self._accept("}"):
            item = self._take()
            if item.kind == "unknown" or (item.kind == "cmd" and item.value not in _SUBSCRIPT_COMMANDS):
                raise Uncovered(item.value)
            if item.kind == "sign" and item.value not in _SUBSCRIPT_SIGNS:
                raise Uncovered(item.value)
            parts.append(item.value)
        return "".join(parts)


_FACTOR_SIGNS = (
    frozenset(("(", "[", "{", r"\frac", r"\sqrt", r"\binom", r"\pi", r"\infty", r"\lfloor", r"\lceil"))
    | spell.GREEK
    | spell.BIG_OPERATORS
    | {rf"\{name}" for name in (*spell.FUNCTIONS, *spell.INTEGER_FUNCTIONS)}
)


def negative(scalar: Scalar) -> Scalar:
    """Minus ``scalar``."""
    if isinstance(scalar, Num):
        # The digits are kept, since the digits decide what rounding is allowed.
        return Num(-scalar.value, scalar.digits, scalar.places)
    return times(MINUS_ONE, scalar)
