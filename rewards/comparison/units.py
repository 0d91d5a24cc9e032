r"""Units: a closed table, nouns that the problem counts, and how both are read after a complete number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from rewards.comparison.items import Item
from rewards.wordlists import words

_PREFIXES = {
    "k": "kilo",
    "M": "mega",
    "G": "giga",
    "m": "milli",
    "c": "centi",
    "d": "deci",
    "n": "nano",
    "u": "micro",
    "T": "tera",
}
# Symbol: names. Symbols are case-sensitive, names are not. SI prefixes go before both.
_METRIC = {
    "m": ("meter", "metre"), "g": ("gram", "gramme"), "s": ("second", "sec"), "L": ("liter", "litre", "l"),
    "A": ("ampere", "amp"),
    "V": ("volt",), "W": ("watt",), "J": ("joule",), "N": ("newton",), "Pa": ("pascal",), "Hz": ("hertz",),
    "K": ("kelvin",),
    "mol": ("mole",), "Ω": ("ohm",), "eV": ("electronvolt",), "C": ("coulomb",), "F": ("farad",),
    "T": ("tesla",), "Wh": (),
    "b": ("bit",), "B": ("byte",), "cal": ("calorie",), "rad": ("radian",), "bar": (),
}  # fmt: skip
_OTHER = {
    "in": ("inch", "inches"), "ft": ("foot", "feet"), "yd": ("yard",), "mi": ("mile",), "min": ("minute",),
    "h": ("hour", "hr"),
    "day": (), "week": (), "month": (), "year": ("yr",), "lb": ("lbs",), "pound": (), "oz": ("ounce",),
    "ton": ("tonne",), "acre": (),
    "gal": ("gallon",), "qt": ("quart",), "pt": ("pint",), "cup": (), "mph": (), "°": ("degree", "deg"),
    "ha": ("hectare",),
    "unit": (), "dollar": ("usd", "buck"), "cent": (), "euro": ("eur",), "£": ("gbp",), "rupee": ("inr", "rs"),
    "yen": ("jpy",),
    "yuan": ("cny", "rmb"), "peso": (), "knot": (), "decade": (), "century": ("centurie",), "am-pm": (),
    "atm": (), "point": ("pt.",),
}  # fmt: skip
# Nouns so neutral that they change nothing, whatever the problem says.
_NEUTRAL = {
    "way": (), "people": ("person",), "student": (), "item": (), "piece": (), "page": (), "integer": (),
    "digit": (), "step": (),
    "term": (), "arrangement": (), "permutation": (), "combination": (), "element": (), "subset": (),
    "child": ("children",),
}  # fmt: skip
MAGNITUDES = {"dozen": 12, "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
CURRENCY_SIGNS = {r"\$": "dollar", r"\euro": "euro", r"\pounds": "£", r"\yen": "yen", r"\rupee": "rupee"}
_POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
_AFTER_POWERS = {"squared": 2, "cubed": 3}
_SPELLED_SIGNS = {r"\Omega": "Ω", r"\mu": "u", r"\circ*": "°"}
# Letters that stand for a unit even in italics, where the other side has no such symbol.
SHORT_LETTERS = frozenset("mgshL")
_TEMPERATURES = {"c": "°C", "celsius": "°C", "f": "°F", "fahrenheit": "°F"}

# Words that count, deny, hedge, compare or compute: never a unit and never a noun.
NEVER_A_NOUN = frozenset(
    words(
        "a an the one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty",
        "hundred thousand million billion trillion dozen zero half halves third quarter fourth fifth sixth",
        "seventh eighth ninth tenth twelfth hundredth thousandth ten tens hundreds thousands lakh crore",
        "percent percentage pct point times fold double doubled triple tripled twice thrice squared cubed",
        "root inverse inverted reciprocal negated negative positive minus plus plusminus over divided",
        "multiplied by mod modulo base factorial power exponent log not no nor none never neither nope isn",
        "isnt aren cannot incorrect incorrectly wrong wrongly false falsely kidding joking untrue invalid if",
        "unless except without maybe perhaps possibly probably either or and but alternatively instead",
        "approximately approx about around almost nearly roughly circa more less than least most fewer",
        "greater smaller larger bigger under over below above between from to until then is are was were be",
        "been being equals equal of in on at for with as it its this that these those what which who how many",
        "much any some all each every other another else only just exactly actually really modulus first",
        "second last next previous sum difference product quotient ratio plus/minus opposite complement short",
        "cut off where when while whenever given since because such provided assuming suppose let",
        "whether depends depend",
        "infinity infinite undefined error answer result solution solutions correct right true yes",
        "january february march april may june july august september october november december",
        "monday tuesday wednesday thursday friday saturday sunday",
    )
)  # fmt: skip

# Words of the table that a problem may count all the same: "how many positive solutions".
_COUNTED_ALL_THE_SAME = frozenset(("solution", "solutions", "positive", "more", "fewer", "such"))


def _table() -> tuple[dict[str, str], dict[str, str]]:
    symbols: dict[str, str] = {}
    names: dict[str, str] = {}
    for symbol, spelled in (_METRIC | _OTHER | _NEUTRAL).items():
        symbols[symbol] = symbol
        names |= {name: symbol for name in (symbol, *spelled) if len(name) > 1}
    for prefix, long in _PREFIXES.items():
        for symbol, spelled in _METRIC.items():
            symbols[prefix + symbol] = prefix + symbol
            names |= {long + name: prefix + symbol for name in spelled if len(name) > 1}
    symbols |= {"hr": "h", "l": "L", "ml": "mL", "cc": "cm^3", "kph": "km/h", "kmph": "km/h", "lbs": "lb", "secs": "s"}
    return symbols, names


_SYMBOLS, _NAMES = _table()


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    for ending in ("ches", "shes", "xes", "sses"):
        if word.endswith(ending):
            return word[:-2]
    return word[:-1] if len(word) > 2 and word.endswith("s") and not word.endswith("ss") else word


def noun(word: str) -> str:
    """A word as a noun is compared: folded and in the singular."""
    return _singular(word.casefold())


def unit_name(word: str, nouns: frozenset[str]) -> str | None:
    """The canonical unit of one word: a symbol in its case, a name in any, or a noun that may be counted here."""
    if word in _SYMBOLS:
        return _SYMBOLS[word]
    folded = word.casefold()
    for form in (folded, _singular(folded)):
        if form in _NAMES and (len(form) > 3 or (form in _NAMES and word.islower()) or word.isupper()):
            return _NAMES[form]
    return f"{noun(word)}" if noun(word) in nouns else None


_COUNTED = re.compile(
    r"(?:how many|how much|number of|[0-9][0-9.,]*"
    r"|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|many|each|every|few|more|some))"
    r"((?:[\s-]+[a-z]+){1,3})"
)


# "How many tickets were sold?" makes "41 tickets sold" an answer.
_HOW_MANY = re.compile(r"how (?:many|much)[^?.]{0,200}")
_TRAILING = re.compile(r"\b(?:left|remaining|sold|needed|required|altogether)\b")


@lru_cache(maxsize=4096)
def counted_nouns(problem_text: str) -> frozenset[str]:
    """Nouns that a problem counts: those after "how many", "number of", a numeral or a word of number."""
    found: set[str] = set()
    never = NEVER_A_NOUN - _COUNTED_ALL_THE_SAME
    for match in _COUNTED.finditer(problem_text.casefold()):
        for word in match[1].replace("-", " ").split():
            if word in never:
                break
            found.add(noun(word))
    for question in _HOW_MANY.finditer(problem_text.casefold()):
        found |= set(_TRAILING.findall(question[0]))
    return frozenset(found - never)


def is_unit_item(item: Item, nouns: frozenset[str]) -> bool:
    """Whether a unit may begin with this item."""
    if item.kind == "word":
        word = item.value.casefold()
        return word in _POWERS or word in MAGNITUDES or unit_name(item.value, nouns) is not None
    if item.kind == "letter":
        upright = item.text or item.roman
        return (upright and unit_name(item.value, nouns) is not None) or (
            item.value in SHORT_LETTERS and item.value in nouns
        )
    return item.is_(*_SPELLED_SIGNS, *CURRENCY_SIGNS)


def read_unit(items: Sequence[Item], nouns: frozenset[str]) -> str | None:
    """The canonical unit that all of ``items`` are, or None. The unit of no items is the empty string."""
    reader = _UnitReader(items, nouns)
    unit = reader.product()
    return None if unit is None or reader.rest() else _spelled(unit)


def _spelled(unit: dict[str, int]) -> str:
    return " ".join(name if power == 1 else f"{name}^{power}" for name, power in sorted(unit.items()) if power)


class _UnitReader:
    def __init__(self, items: Sequence[Item], nouns: frozenset[str]) -> None:
        self._items, self._nouns, self._at = items, nouns, 0

    def rest(self) -> bool:
        return self._at < len(self._items)

    def _value(self) -> str:
        return self._items[self._at].value if self.rest() else ""

    def _accept(self, *values: str) -> bool:
        if self._value() in values and self.rest():
            self._at += 1
            return True
        return False

    def product(self) -> dict[str, int] | None:
        """Factors with an optional sign of multiplication or division between two of them."""
        total: dict[str, int] = {}
        direction = 1
        while True:
            part = self._factor() if self.rest() else None
            if part is None:
                return None
            for name, power in part.items():
                total[name] = total.get(name, 0) + direction * power
            if not self.rest() or self._value() in ("}", ")"):
                return total
            direction = -1 if self._accept("/", "per") else 1
            if direction == -1:
                self._accept("a", "an")
            else:
                self._accept(r"\cdot", r"\times", "*", "-", ".")

    def _factor(self) -> dict[str, int] | None:
        if self._accept(r"\frac"):
            return self._fraction()
        if self._value() in ("{", "("):
            return self._group()
        if self._value() == "^" and self._at + 1 < len(self._items):
            return self._degrees()
        power = 1
        if (
            self._value().casefold() in _POWERS
            and self._at + 1 < len(self._items)
            and (self._items[self._at + 1].kind in ("word", "letter") or self._items[self._at + 1].is_("."))
        ):
            power = _POWERS[self._value().casefold()]
            self._at += 1
            self._accept(".")
        name = self._name()
        if name is None:
            return None
        # The parts make mph equal to miles per hour.
        if name == "mph":
            return {"mi": power, "h": -power}
        # An age is often given as 12 years old.
        if name == "year":
            self._accept("old")
        exponent = self._exponent()
        if exponent is None:
            return None
        power *= exponent
        base, _, own = name.partition("^")
        return {base: power * int(own or 1)}

    def _fraction(self) -> dict[str, int] | None:
        top, bottom = self._group(), self._group()
        if top is None or bottom is None:
            return None
        return top | {name: top.get(name, 0) - power for name, power in bottom.items()}

    def _group(self) -> dict[str, int] | None:
        if not self._accept("{", "("):
            return None
        inner = self.product()
        return inner if self._accept("}", ")") else None

    def _degrees(self) -> dict[str, int] | None:
        """``^\\circ``, ``^{\\circ}``, ``^o`` and the scale that may follow."""
        start = self._at
        self._at += 1
        braced = self._accept("{")
        if not self._accept(r"\circ", r"\circ*", "o"):
            self._at = start
            return None
        if braced and not self._accept("}"):
            return None
        return {self._scale(): 1}

    def _scale(self) -> str:
        scale = _TEMPERATURES.get(self._value().casefold())
        if scale is None:
            return "°"
        self._at += 1
        return scale

    def _name(self) -> str | None:
        if not self.rest():
            return None
        item = self._items[self._at]
        self._at += 1
        if item.value in CURRENCY_SIGNS:
            return CURRENCY_SIGNS[item.value]
        spelled = _SPELLED_SIGNS.get(item.value, item.value)
        if spelled == "u":
            if not self.rest():
                return None
            spelled += self._value()
            self._at += 1
        name = unit_name(spelled, self._nouns)
        if name == "°":
            return self._scale()
        return name

    def _exponent(self) -> int | None:
        """The power after a name; None for a power that no unit has."""
        if self._value().casefold() in _AFTER_POWERS:
            self._at += 1
            return _AFTER_POWERS[self._items[self._at - 1].value.casefold()]
        if self._value() != "^":
            return 1
        self._at += 1
        braced = self._accept("{")
        sign = -1 if self._accept("-") else 1
        digits = self._value()
        if not re.fullmatch("[1-4]", digits):
            return None
        self._at += 1
        if braced and not self._accept("}"):
            return None
        return sign * int(digits)


def same_unit(gold: str, answer: str) -> bool:
    """Equal, or one is left out. Plain degrees may be degrees of either scale, and pounds weigh or pay."""
    if not gold or not answer or gold == answer:
        return True
    if any(gold.replace("pound", pound) == answer.replace("pound", pound) for pound in ("lb", "£")):
        return True
    return {gold, answer} in ({"°", "°C"}, {"°", "°F"})
