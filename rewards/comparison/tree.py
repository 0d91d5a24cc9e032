"""The typed tree that an answer is read into. Every node is immutable and compares by structure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from fractions import Fraction
from functools import cache
from typing import Any, Literal


class Uncovered(Exception):
    """Some token of the text has no owner in the tree."""


# Scalars.


@dataclass(frozen=True, slots=True)
class Num:
    """An exact number. ``digits``: significant digits and ``places``: decimals, where it is written as one decimal."""

    value: Fraction
    digits: int = 0
    places: int = 0


@dataclass(frozen=True, slots=True)
class Sym:
    """A symbol with font, subscript and primes in its name; constants are symbols named pi, e, i and oo."""

    name: str


@dataclass(frozen=True, slots=True)
class Add:
    """A sum."""

    terms: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Mul:
    """A product."""

    factors: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Div:
    """A quotient."""

    top: Scalar
    bottom: Scalar


@dataclass(frozen=True, slots=True)
class Pow:
    """A power."""

    base: Scalar
    exponent: Scalar


@dataclass(frozen=True, slots=True)
class Call:
    """A named function or operator of scalars, such as sin, root, abs, factorial, sum."""

    name: str
    arguments: tuple[Scalar, ...]


Scalar = Num | Sym | Add | Mul | Div | Pow | Call
MINUS_ONE = Num(Fraction(-1))

# Answers.


@dataclass(frozen=True, slots=True)
class Quantity:
    """A scalar with its unit (canonical, or empty), or a percentage, whose scalar is what stands before the sign."""

    scalar: Scalar
    unit: str = ""
    percent: bool = False


@dataclass(frozen=True, slots=True)
class Compound:
    """Quantities said one after the other, such as 5 ft 3 in."""

    parts: tuple[Quantity, ...]


@dataclass(frozen=True, slots=True)
class Words:
    """An answer in words, folded; numerals inside keep their digits."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice letter and the text that stands beside the letter, if any."""

    letter: str
    rest: Node | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """Members without brackets. ``word`` is "and" or "or" where that word joins the last two."""

    members: tuple[Node, ...]
    word: str = ""


@dataclass(frozen=True, slots=True)
class Bracketed:
    """Members in brackets: ``brackets`` is one of (), [], [), (], {}. Curly brackets are a set."""

    brackets: str
    members: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class SetOf:
    """Set operation: union, intersection or difference of the members, or one of the named sets."""

    operation: Literal["union", "intersection", "difference", "name"]
    members: tuple[Node, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Relation:
    """``sides[0] operators[0] sides[1] ...``; ``modulus`` belongs to a congruence."""

    sides: tuple[Node, ...]
    operators: tuple[str, ...]
    modulus: Scalar | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """A name and what it stands for: x = 7, P(2, -3), f(x) = x^2. ``name`` has no spaces."""

    name: str
    value: Node


@dataclass(frozen=True, slots=True)
class SetBuilder:
    """All ``variable`` that meet the condition."""

    variable: str
    condition: Node


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of entries; the kind of brackets does not count. ``kind`` is matrix, vmatrix or cases."""

    rows: tuple[tuple[Node, ...], ...]
    kind: str = "matrix"


@dataclass(frozen=True, slots=True)
class Digits:
    """Figures that are not one number: a ratio or time (``:``), a date (``-`` or ``/``), with am or pm if said."""

    separator: str
    parts: tuple[str, ...]
    half: str = ""


@dataclass(frozen=True, slots=True)
class Based:
    """A numeral in another base."""

    digits: str
    base: int


@dataclass(frozen=True, slots=True)
class Implications:
    """Claims of which each follows from the one before: 2x = 6 implies x = 3."""

    members: tuple[Node, ...]


Node = (
    Quantity
    | Compound
    | Words
    | Choice
    | Listing
    | Bracketed
    | SetOf
    | Relation
    | Named
    | SetBuilder
    | Matrix
    | Digits
    | Based
    | Implications
)


def walk(node: object) -> Iterator[object]:
    """``node`` and everything below, parents first."""
    waiting = [node]
    while waiting:
        yield (part := waiting.pop())
        waiting += reversed(children(part))


def children(node: object) -> list[object]:
    """Nodes directly below ``node``."""
    below: list[object] = []
    kind: Any = type(node)
    for name in _inner_fields(kind):
        value = getattr(node, name)
        if isinstance(value, tuple):
            for part in value:
                # The rows of a matrix are tuples inside a tuple.
                below += part if isinstance(part, tuple) else (part,)
        else:
            below.append(value)
    return below


@cache
def _inner_fields(kind: Any) -> tuple[str, ...]:
    """Names of the fields of a node that may hold nodes. A leaf has none."""
    leaf = issubclass(kind, Num | Sym | Words | Digits | Based) or not is_dataclass(kind)
    return () if leaf else tuple(field.name for field in fields(kind))


def free_symbols(node: object) -> set[str]:
    """Names of the symbols below ``node`` without the constants pi, e, i and infinity."""
    return {part.name for part in walk(node) if isinstance(part, Sym)} - CONSTANTS


CONSTANTS = frozenset(("pi", "e", "i", "oo"))
