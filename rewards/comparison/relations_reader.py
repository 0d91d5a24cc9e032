r"""Equations, inequalities, chains, congruences, and the names before an equals sign."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rewards.comparison import spellings as spell
from rewards.comparison.items import Item
from rewards.comparison.scalar_reader import read_scalar
from rewards.comparison.splitting import closing, split, top_level
from rewards.comparison.tree import Bracketed, Listing, Named, Node, Quantity, Relation, Scalar, Uncovered

if TYPE_CHECKING:
    from rewards.comparison.answer_reader import AnswerReader

_RELATIONS = ("=", "<", ">", r"\le", r"\ge", r"\ne", r"\approx", r"\in", r"\notin", r"\to", r"\subset", r"\subseteq", r"\sim",
              r"\cong", r"\parallel", r"\perp", r"\ll", r"\gg")  # fmt: skip
_MODULI = (r"\pmod", r"\bmod", r"\mod")
_ARITHMETIC = ("+", "-", "*", "/", r"\cdot", r"\times", r"\div", r"\pm")


def read_relation(reader: AnswerReader, items: Sequence[Item]) -> Node | None:
    """``a = b``, ``a < b <= c``, ``x in S``, ``2 : \\sqrt{3}``; a name before an equals sign gives a ``Named``."""
    sides, operators = split(_ascii_signs(items), lambda item: item.is_(*_RELATIONS))
    if not operators:
        return _ratio(reader, items)
    if any(not side for side in sides):
        raise Uncovered("an empty side")
    signs = tuple(operator.value for operator in operators)
    if signs[0] in ("=", r"\in", r"\approx", r"\to") and is_name(sides[0]):
        rest = sides[1:]
        value = reader.read(rest[0]) if len(rest) == 1 else _chain(reader, rest, signs[1:])
        return Named(name_of(sides[0]), value)
    if signs == ("=",) and is_name(sides[1]) and not is_name(sides[0]):
        return Named(name_of(sides[1]), reader.read(sides[0]))
    return _chain(reader, sides, signs)


def _chain(reader: AnswerReader, sides: Sequence[Sequence[Item]], signs: tuple[str, ...]) -> Relation:
    marks = [sign for sign in signs]
    nodes: list[Node] = []
    for at, side in enumerate(sides):
        cut = side
        while cut and cut[-1].is_(r"\ldots", "."):
            cut = cut[:-1]
        if len(cut) < len(side) and at and marks[at - 1] == "=" and any(item.is_(r"\ldots") for item in side[len(cut) :]) or (
            len(side) - len(cut) > 2
        ):
            marks[at - 1] = r"\approx"
            side = cut
        nodes.append(reader.read(side))
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
    return before.is_("<", ">", "&") or before.is_("!") and before.spaced


def _ratio(reader: AnswerReader, items: Sequence[Item]) -> Node | None:
    sides, colons = split(items, lambda item: item.is_(":"))
    if not colons or any(not side for side in sides) or all(len(side) == 1 and side[0].kind == "num" for side in sides):
        return None
    if any(not item.kind == "num" and item.text for item in items):
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
    point = items[0].kind == "letter" and items[0].value.isupper() and not items[0].font and items[0].value != "C"
    if not point or len(items) < 5 or not items[1].is_("(") or closing(items, 1) != len(items) - 1:
        return None
    value = reader.attempt(items[1:])
    return Named(items[0].value, value) if isinstance(value, Bracketed) else None


def name_of(items: Sequence[Item]) -> str:
    """A name as two answers must share it: all items without spaces."""
    return "".join(f"{item.value}|{item.font}" if item.font else item.value for item in items if not item.is_("{", "}"))


def is_name(items: Sequence[Item]) -> bool:
    """Whether items only name what follows: a symbol, a function of symbols, an angle, words, a tuple of symbols.

    A name has a letter, begins with no numeral, and has no arithmetic and no power at its top level.
    """
    if not any(item.kind in ("letter", "word") or item.value in spell.GREEK for item in items) or items[0].kind == "num":
        return False
    if any(item.is_(*_ARITHMETIC, "!", "%") for _, item in top_level(items)):
        return False
    if items[0].is_("("):
        return _is_tuple_of_symbols(items)
    if items[0].is_(r"\frac"):
        return all(item.kind == "letter" or item.is_("{", "}") or item.value in spell.GREEK for item in items[1:])
    if items[0].is_("{", "[", r"\{", r"\sqrt") or items[0].kind == "unknown":
        return False
    function = items[0].value.removeprefix("\\") in spell.FUNCTIONS
    power = any(item.is_("^") for _, item in top_level(items))
    return not power or function or _is_applied_inverse(items)


def _is_applied_inverse(items: Sequence[Item]) -> bool:
    r"""``f^{-1}(3)``."""
    values = [item.value for item in items[1:6]]
    return values[:5] == ["^", "{", "-", "1", "}"] and items[-1].is_(")")


def _is_tuple_of_symbols(items: Sequence[Item]) -> bool:
    names = _tuple_names(items)
    return names is not None


def _tuple_names(items: Sequence[Item]) -> list[str] | None:
    """``["p", "q"]`` for ``(p, q)``, else None."""
    if closing(items, 0) != len(items) - 1:
        return None
    parts, commas = split(items[1:-1], lambda item: item.is_(","))
    if not commas or any(not part or part[0].kind != "letter" and part[0].value not in spell.GREEK for part in parts):
        return None
    return [name_of(part) for part in parts]


def spread(named: Named) -> Listing | None:
    """``(p, q) = (5, 2)`` as ``p = 5, q = 2``, or None for any other name."""
    inside = named.name[1:-1] if named.name.startswith("(") and named.name.endswith(")") else ""
    names = inside.split(",")
    if not inside or not isinstance(named.value, Bracketed) or named.value.brackets != "()":
        return None
    if len(names) != len(named.value.members):
        return None
    return Listing(tuple(Named(name, value) for name, value in zip(names, named.value.members, strict=True)))


def scalar_of(node: Node) -> Scalar | None:
    """The scalar of a plain quantity, else None."""
    return node.scalar if isinstance(node, Quantity) and not node.unit and not node.percent else None
