r"""Equations, inequalities, chains, congruences, and the names before an equals sign."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rewards.comparison import spellings as spell
from rewards.comparison.big_operators import has_value
from rewards.comparison.items import Item
from rewards.comparison.numerals import TooLarge
from rewards.comparison.scalar_reader import read_scalar
from rewards.comparison.splitting import closing, split, top_level
from rewards.comparison.tree import (
    Bracketed,
    Call,
    Implications,
    Listing,
    Mul,
    Named,
    Node,
    Pow,
    Relation,
    Sym,
    Uncovered,
    free_symbols,
)
from rewards.comparison.units import NEVER_A_NOUN, noun
from rewards.comparison.words import ASKED_NAMES
from rewards.wordlists import words

if TYPE_CHECKING:
    from rewards.comparison.answer_reader import AnswerReader

_RELATIONS = ("=", "<", ">", r"\le", r"\ge", r"\ne", r"\approx", r"\in", r"\notin", r"\to", r"\subset",
r"\subseteq", r"\sim",
              r"\cong", r"\parallel", r"\perp", r"\ll", r"\gg")  # fmt: skip
_MODULI = (r"\pmod", r"\bmod", r"\mod")
# Words of the table of harmful words that do no harm in a name, such as "number of ways" and "the sum".
HARMLESS_IN_NAMES = frozenset(
    words(
        "a an the of in on at for with as its this that these those sum difference product quotient ratio",
        "total percent percentage answer result solution solutions first second last next base power exponent",
        "root each all point x y n",
    )
)
_ARITHMETIC = ("+", "-", "*", "/", r"\cdot", r"\times", r"\div", r"\pm")


def read_relation(reader: AnswerReader, items: Sequence[Item]) -> Node | None:
    """``a = b``, ``a < b <= c``, ``x in S``, ``2 : \\sqrt{3}``; a name before an equals sign gives a ``Named``."""
    sides, operators = split(_ascii_signs(items), lambda item: item.is_(*_RELATIONS))
    if not operators:
        return _ratio(reader, items)
    if any(not side for side in sides):
        raise Uncovered("an empty side")
    signs = tuple(operator.value for operator in operators)
    tends = signs[0] == r"\to" and not any(item.kind == "letter" for item in sides[1])
    if (signs[0] in ("=", r"\in", r"\approx") or tends) and is_name(reader, sides[0]):
        rest = sides[1:]
        value = reader.read(rest[0]) if len(rest) == 1 else _chain(reader, rest, signs[1:])
        return Named(name_of(sides[0]), value)
    if signs == ("=",) and _is_symbol(sides[1]) and not is_name(reader, sides[0]):
        return Named(name_of(sides[1]), reader.read(sides[0]))
    return _chain(reader, sides, signs)


def read_implications(reader: AnswerReader, items: Sequence[Item]) -> Node | None:
    r"""``2x = 6 \Rightarrow x = 3``."""
    claims, arrows = split(items, lambda item: item.is_(r"\implies"))
    if not arrows:
        return None
    if any(not claim for claim in claims):
        raise Uncovered("an empty claim")
    return Implications(tuple(reader.read(claim) for claim in claims))


def _chain(reader: AnswerReader, sides: Sequence[Sequence[Item]], signs: tuple[str, ...]) -> Relation:
    marks = [sign for sign in signs]
    nodes: list[Node] = []
    for at, side in enumerate(sides):
        cut = side
        while cut and cut[-1].is_(r"\ldots", "."):
            cut = cut[:-1]
        if (
            len(cut) < len(side)
            and at
            and marks[at - 1] == "="
            and any(item.is_(r"\ldots") for item in side[len(cut) :])
        ) or (len(side) - len(cut) > 2):
            # Dots after a numeral say that the numeral is cut off, so the equals sign is approximate.
            marks[at - 1] = r"\approx"
            side = cut
        nodes.append(reader.read(side))
    # Beside a sign that is no equation, the letter before a tuple is no free name: N(0, 1) is a distribution.
    if "=" not in marks and any(isinstance(node, Named) for node in nodes):
        raise Uncovered("a name inside a relation")
    return Relation(tuple(nodes), tuple(marks))


def _ascii_signs(items: Sequence[Item]) -> list[Item]:
    """``<=``, ``>=`` and ``!=`` as one sign each; ``&=`` of an alignment as ``=``."""
    out: list[Item] = []
    for item in items:
        before = out[-1] if out else None
        if before is not None and item.is_("=") and not item.spaced and _joins_equals(before):
            sign = {"<": r"\le", ">": r"\ge", "!": r"\ne", "&": "="}[before.value]
            out[-1] = Item("sign", sign, before.spaced)
        else:
            out.append(item)
    return out


def _joins_equals(before: Item) -> bool:
    """An exclamation mark without a space in front is a factorial, as in ``5!=120``."""
    return before.is_("<", ">", "&") or (before.is_("!") and before.spaced)


def _ratio(reader: AnswerReader, items: Sequence[Item]) -> Node | None:
    sides, colons = split(items, lambda item: item.is_(":"))
    if colons and "".join(item.value for item in items[-2:]).casefold() in ("am", "pm"):
        return None
    if len(colons) == 1 and all(sides) and all(item.text for item in sides[0]) and _is_label(sides[0]):
        return Named(name_of(sides[0]), reader.read(sides[1]))
    if not colons or any(not side for side in sides) or all(len(side) == 1 and side[0].kind == "num" for side in sides):
        return None
    if any(item.kind != "num" and (item.text or item.roman) for item in items):
        return None
    return Relation(tuple(reader.read(side) for side in sides), (":",) * len(colons))


def read_congruence(reader: AnswerReader, items: Sequence[Item]) -> Node | None:
    r"""``n \equiv 3 \pmod 7``, ``3 \bmod 7``: the residue, what is congruent to it, and the modulus."""
    place = next((at for at, item in enumerate(items) if item.is_(*_MODULI) or item.value.casefold() == "mod"), None)
    if place is None:
        return None
    before, after = items[:place], items[place + 1 :]
    if before and before[-1].is_("(") and after and after[-1].is_(")"):
        before, after = before[:-1], after[:-1]
    if not before or not after or any(item.is_("=", ",", *_MODULI) for item in after):
        raise Uncovered("modulus")
    modulus = read_scalar(after)
    sides, signs = split(before, lambda item: item.is_(r"\equiv", "="))
    if any(not side for side in sides):
        raise Uncovered("an empty side")
    return Relation(tuple(reader.read(side) for side in sides), (r"\equiv",) * len(signs), modulus)


def read_point(reader: AnswerReader, items: Sequence[Item]) -> Node | None:
    """``P(2,-3)``: a capital letter in front of a tuple is the name of a point."""
    # C(5, 2) is a binomial coefficient.
    point = items[0].kind == "letter" and items[0].value.isupper() and not items[0].font and items[0].value != "C"
    if not point or len(items) < 5 or not items[1].is_("(") or closing(items, 1) != len(items) - 1:
        return None
    value = reader.attempt(items[1:])
    return Named(items[0].value, value) if isinstance(value, Bracketed) else None


def read_cross_product(reader: AnswerReader, items: Sequence[Item]) -> Node | None:
    r"""``A \times B``: between two capitals alone the sign is the product of sets, whose order counts."""
    if len(items) != 3 or not items[1].is_(r"\times"):
        return None
    sides = items[0], items[2]
    if not all(item.kind == "letter" and item.value.isupper() and not item.text for item in sides):
        return None
    return Relation(tuple(reader.read([side]) for side in sides), (r"\times",))


def name_of(items: Sequence[Item]) -> str:
    """A name as two answers must share it: all items without spaces."""
    if len(items) > 3 and items[0].kind in ("letter", "word") and items[1].is_("[") and items[-1].is_("]"):
        items = [items[0], Item("sign", "("), *items[2:-1], Item("sign", ")")]  # E[X] is E(X)
    return "".join(f"{item.value}|{item.font}" if item.font else item.value for item in items if not item.is_("{", "}"))


def is_name(reader: AnswerReader, items: Sequence[Item]) -> bool:
    """Whether items only name what follows: a symbol, a function of symbols, an angle, words, a tuple of symbols.

    A name has a letter, begins with no numeral, and has no arithmetic and no power at its top level. All of its items
    must read as a name; a name with an item that nothing owns is none.
    """
    if reader.asked and name_of(items) in reader.asked:
        return True
    if any(item.kind == "unknown" for item in items) or _has_bare_operator(items):
        return False
    if (
        not any(item.kind in ("letter", "word") or item.value in spell.GREEK for item in items)
        or items[0].kind == "num"
    ):
        return _is_bare_function(items)
    if any(item.is_(*_ARITHMETIC, "!", "%") for _, item in top_level(items)):
        return False
    parts, colons = split(items, lambda item: item.is_(":"))
    if colons:  # the name of a ratio
        return all(part and is_name(reader, part) for part in parts)
    if items[0].is_("("):
        return _is_tuple_of_symbols(items)
    if items[0].is_(r"\frac"):
        letters = all(item.kind == "letter" or item.is_("{", "}") or item.value in spell.GREEK for item in items[1:])
        return letters and _is_scalar(items)
    if _is_measured(reader, items):
        return True
    if items[0].is_("{", "[", r"\{", r"\sqrt") or items[0].kind == "unknown":
        return False
    function = items[0].value.removeprefix("\\") in spell.FUNCTIONS
    if any(item.is_("^") for _, item in top_level(items)) and not function and not _is_applied_inverse(items):
        return False
    return _is_applied(reader, items) or _is_marked(items) or _is_words(items) or _is_scalar_name(items)


def _has_bare_operator(items: Sequence[Item]) -> bool:
    """Whether a sum or a limit stands without what is written below."""
    following = [*items[1:], None]
    return any(
        item.is_(*spell.BIG_OPERATORS) and not (after is not None and after.is_("_"))
        for item, after in zip(items, following, strict=True)
    )


def _is_scalar(items: Sequence[Item]) -> bool:
    try:
        read_scalar(items)
    except (Uncovered, TooLarge):
        return False
    return True


def _is_bare_function(items: Sequence[Item]) -> bool:
    return len(items) == 1 and items[0].value in (r"\max", r"\min", r"\sup", r"\inf", r"\gcd", r"\det")


def _is_symbol(items: Sequence[Item]) -> bool:
    return len(items) == 1 and (items[0].kind == "letter" or items[0].value in spell.GREEK)


def _is_measured(reader: AnswerReader, items: Sequence[Item]) -> bool:
    r"""``|A \cap B|``, ``\|v\|``, ``[ABC]``: the size of a set, the length of a vector, the area of a figure."""
    inner = items[1:-1]
    if len(items) < 3 or not any(item.kind == "letter" for item in inner):
        return False
    if items[0].is_("[") and items[-1].is_("]"):
        return all(item.kind == "letter" and item.value.isupper() for item in inner)
    if items[0].is_(r"\Vert") and items[-1].is_(r"\Vert"):
        return all(item.kind == "letter" for item in inner)
    bars = [item for item in items if item.is_("|")]
    between = items[0].is_("|") and items[-1].is_("|") and len(bars) == 2
    if between and inner[0].is_(r"\overrightarrow"):
        return _is_marked(inner)
    return (
        between
        and any(item.is_(r"\cap", r"\cup", r"\setminus") for item in inner)
        and (reader.attempt(inner) is not None)
    )


def _is_applied(reader: AnswerReader, items: Sequence[Item]) -> bool:
    """``P(X = 2)``, ``f^{-1}(3)``, ``S_n(x, y)``, ``n(A \\cap B)``: a symbol before brackets whose content reads."""
    opening = next((at for at, item in enumerate(items) if item.is_("(", "[", r"\{", "|") and at), None)
    if opening is None or closing(items, opening) != len(items) - 1:
        return False
    if items[0].kind not in ("letter", "word") and not items[0].is_(r"\Pr"):
        return False
    if items[0].kind == "word" and not _is_words(items[:opening]):
        return False
    if not _is_applied_inverse(items) and not _is_scalar_name(items[:opening]) and items[0].kind == "letter":
        return False
    inner = items[opening + 1 : -1]
    # A named function of numerals is a value that somebody must work out.
    if len(items[0].value) > 1 and all(item.kind == "num" or item.is_(",", "-", ".") for item in inner):
        return False
    parts, _ = split(inner, lambda item: item.is_("|", ","))
    return bool(inner) and all(part and reader.attempt(part) is not None for part in parts)


def _is_marked(items: Sequence[Item]) -> bool:
    """``\\angle ABC``, ``m\\angle A``, ``\\triangle ABC``, ``\\overline{AB}``, ``\\vec{AB}``, ``\\# ways``."""
    rest = items[1:] if items[0].value == "m" and len(items) > 1 and items[1].is_(r"\angle") else items
    if not rest[0].is_(r"\angle", r"\triangle", r"\overline", r"\overrightarrow", "#"):
        return False
    marked = [item for item in rest[1:] if not item.is_("{", "}")]
    return bool(marked) and all(item.kind == "letter" or _is_words([item]) for item in marked)


def _is_words(items: Sequence[Item]) -> bool:
    """Words of which none denies, counts or compares."""
    words = [item.value.casefold() for item in items]
    if not all(item.kind in ("word", "letter") or item.is_("{", "}", "_") for item in items):
        return False
    return any(item.kind == "word" or item.text for item in items) and not any(
        word in NEVER_A_NOUN - HARMLESS_IN_NAMES or noun(word) in NEVER_A_NOUN - HARMLESS_IN_NAMES for word in words
    )


def _is_label(items: Sequence[Item]) -> bool:
    """Words before a colon that only say what follows: ``\\text{Length: }5``."""
    words = {item.value.casefold() for item in items}
    return all(item.kind == "word" for item in items) and words <= ASKED_NAMES | {"the", "of", "total"}


def _is_scalar_name(items: Sequence[Item]) -> bool:
    """A symbol, a product of symbols such as AB, or a function or absolute value of these."""
    try:
        scalar = read_scalar(items)
    except (Uncovered, TooLarge):
        return False
    if isinstance(scalar, Pow):
        scalar = scalar.base
    if len(items) == 1:
        return True
    # What has a value is no name, and the value is checked.
    if has_value(scalar):
        return False
    factors = scalar.factors if isinstance(scalar, Mul) else (scalar,)
    return all(isinstance(factor, Sym | Call) and bool(free_symbols(factor)) for factor in factors)


def _is_applied_inverse(items: Sequence[Item]) -> bool:
    r"""``f^{-1}(3)``."""
    values = [item.value for item in items[1:6]]
    return values[:5] == ["^", "{", "-", "1", "}"] and items[6:7] != [] and items[6].is_("(") and items[-1].is_(")")


def _is_tuple_of_symbols(items: Sequence[Item]) -> bool:
    names = _tuple_names(items)
    return names is not None


def _tuple_names(items: Sequence[Item]) -> list[str] | None:
    """``["p", "q"]`` for ``(p, q)``, else None."""
    if closing(items, 0) != len(items) - 1:
        return None
    parts, commas = split(items[1:-1], lambda item: item.is_(","))
    if not commas or not all(part and _is_one_symbol(part) for part in parts):
        return None
    return [name_of(part) for part in parts]


def _is_one_symbol(items: Sequence[Item]) -> bool:
    """A letter with what may be written at a letter: primes and a subscript."""
    try:
        return isinstance(read_scalar(items), Sym)
    except (Uncovered, TooLarge):
        return False


def spread(named: Named) -> Listing | None:
    """``(p, q) = (5, 2)`` as ``p = 5, q = 2``, or None for any other name."""
    inside = named.name[1:-1] if named.name.startswith("(") and named.name.endswith(")") else ""
    names = inside.split(",")
    if not inside or not isinstance(named.value, Bracketed) or named.value.brackets != "()":
        return None
    if len(names) != len(named.value.members):
        return None
    return Listing(tuple(Named(name, value) for name, value in zip(names, named.value.members, strict=True)))
