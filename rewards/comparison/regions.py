r"""Sets of real numbers in one spelling: intervals, inequalities, unions, set builders and differences.

``x < 2``, ``(-\infty, 2)`` and ``\{x \mid x < 2\}`` are the same region.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rewards.comparison.numeric import Undefined, real_value
from rewards.comparison.tree import (
    MINUS_ONE,
    Add,
    Bracketed,
    Call,
    Listing,
    Mul,
    Named,
    Node,
    Quantity,
    Relation,
    Scalar,
    SetBuilder,
    SetOf,
    Sym,
    Words,
    free_symbols,
)

_INFINITY = Sym("oo")
_LOWEST, _HIGHEST = Mul((MINUS_ONE, _INFINITY)), _INFINITY
_FLIPPED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le", r"\ne": r"\ne"}
_LESS = ("<", r"\le")
_INEQUALITIES = frozenset(_FLIPPED)
_EXPRESSION = "expression "
Same = Callable[[Scalar, Scalar], bool]


@dataclass(frozen=True)
class Piece:
    """One interval."""

    low: Scalar
    high: Scalar
    low_closed: bool = False
    high_closed: bool = False


@dataclass(frozen=True)
class Region:
    """A union of intervals and the variable that runs in the region, if named."""

    pieces: tuple[Piece, ...]
    variable: str = ""


_LINE = Region((Piece(_LOWEST, _HIGHEST),))


def speaks_of_region(node: Node) -> bool:
    """Whether a node can only be a set of reals: an inequality, a union, a set builder, a named set."""
    if isinstance(node, Named):
        return speaks_of_region(node.value)
    if isinstance(node, Relation):
        return node.modulus is None and set(node.operators) <= _INEQUALITIES
    if isinstance(node, Listing):
        return bool(node.members) and all(speaks_of_region(member) for member in node.members)
    return isinstance(node, SetOf | SetBuilder) or node == Words(("all", "reals"))


def region_of(node: Node) -> Region | None:
    """The region that a node is, or None."""
    if isinstance(node, Named):
        inner = region_of(node.value)
        return Region(inner.pieces, node.name) if inner is not None else None
    if isinstance(node, Bracketed):
        return _interval(node)
    if isinstance(node, Relation):
        return _inequality(node)
    if isinstance(node, SetOf):
        return _set(node)
    if isinstance(node, SetBuilder):
        inner = region_of(node.condition)
        return inner if inner is not None and inner.variable in ("", node.variable) else None
    if isinstance(node, Listing):
        return _several(node)
    return _LINE if node == Words(("all", "reals")) else None


def _interval(node: Bracketed) -> Region | None:
    if node.brackets == "{}" or len(node.members) != 2:
        return None
    ends = [scalar(member) for member in node.members]
    if ends[0] is None or ends[1] is None:
        return None
    return Region((Piece(ends[0], ends[1], node.brackets[0] == "[", node.brackets[1] == "]"),))


def scalar(node: Node) -> Scalar | None:
    """The scalar of a quantity without a unit, else None."""
    return node.scalar if isinstance(node, Quantity) and not node.unit and not node.percent else None


def _inequality(node: Relation) -> Region | None:
    sides = [scalar(side) for side in node.sides]
    if None in sides or not set(node.operators) <= _INEQUALITIES:
        return None
    if len(sides) == 2:
        return _one_sided(sides[0], node.operators[0], sides[1])  # type: ignore[arg-type]
    if len(sides) == 3 and _varies(sides[1]):
        first = _one_sided(sides[0], node.operators[0], sides[1])  # type: ignore[arg-type]
        second = _one_sided(sides[1], node.operators[1], sides[2])  # type: ignore[arg-type]
        return _both(first, second)
    return None


def _one_sided(left: Scalar, sign: str, right: Scalar) -> Region | None:
    if not _varies(left):
        left, sign, right = right, _FLIPPED[sign], left
    if not _varies(left) or free_symbols(right) & free_symbols(left):
        return None
    if (banded := _around(left, sign, right)) is not None:
        return banded
    name = _variable(left)
    if sign == r"\ne":
        return Region((Piece(_LOWEST, right), Piece(right, _HIGHEST)), name)
    closed = sign in (r"\le", r"\ge")
    piece = Piece(_LOWEST, right, False, closed) if sign in _LESS else Piece(right, _HIGHEST, closed, False)
    return Region((piece,), name)


def _around(left: Scalar, sign: str, right: Scalar) -> Region | None:
    """``|x - 3| < 2`` for a positive number on the right, else None."""
    if not isinstance(left, Call) or left.name != "abs" or sign == r"\ne" or free_symbols(right):
        return None
    inner = left.arguments[0]
    first, *rest = inner.terms if isinstance(inner, Add) else (inner,)
    try:
        positive = real_value(right) > 0
    except Undefined:
        return None
    if not positive or not isinstance(first, Sym) or any(map(free_symbols, rest)):
        return None
    shift = [Mul((MINUS_ONE, part)) for part in rest]
    low, high = Add((Mul((MINUS_ONE, right)), *shift)), Add((right, *shift))
    closed = sign in (r"\le", r"\ge")
    if sign in _LESS:
        return Region((Piece(low, high, closed, closed),), first.name)
    return Region((Piece(_LOWEST, low, False, closed), Piece(high, _HIGHEST, closed, False)), first.name)


def _varies(side: Scalar | None) -> bool:
    """Whether a side of an inequality is what runs: a symbol, or a function of symbols."""
    return isinstance(side, Sym | Call) and bool(free_symbols(side))


def _both(first: Region | None, second: Region | None) -> Region | None:
    """The intersection of a region from below and one from above, of one variable."""
    if first is None or second is None or first.variable != second.variable:
        return None
    if len(first.pieces) != 1 or len(second.pieces) != 1:
        return None
    one, other = first.pieces[0], second.pieces[0]
    if one.low == _LOWEST and other.low != _LOWEST:
        one, other = other, one
    if one.low == _LOWEST or one.high != _HIGHEST or other.low != _LOWEST or other.high == _HIGHEST:
        return None
    return Region((Piece(one.low, other.high, one.low_closed, other.high_closed),), first.variable)


def _set(node: SetOf) -> Region | None:
    if node.operation == "name":
        return {"R": _LINE, "empty": Region(())}.get(node.name)
    if node.operation == "union":
        parts = [region_of(member) for member in node.members]
        if any(part is None for part in parts):
            return None
        return Region(tuple(piece for part in parts if part is not None for piece in part.pieces))
    if node.operation == "difference" and node.members[0] == SetOf("name", (), "R"):
        removed = node.members[1:]
        if len(removed) == 1 and isinstance(removed[0], Bracketed) and removed[0].brackets == "{}":
            return _without([scalar(member) for member in removed[0].members], "")
    return None


def _several(node: Listing) -> Region | None:
    parts = [region_of(member) for member in node.members]
    names = {part.variable for part in parts if part is not None}
    if any(part is None for part in parts) or len(names) != 1:
        return None
    variable = names.pop()
    excluded = [_excluded(part) for part in parts if part is not None]
    if node.word != "or" and all(point is not None for point in excluded):
        return _without(excluded, variable)
    if node.word == "or":
        return Region(tuple(piece for part in parts if part is not None for piece in part.pieces), variable)
    return _both(parts[0], parts[1]) if len(parts) == 2 else None


def _excluded(region: Region) -> Scalar | None:
    """The one point that a region leaves out, else None."""
    if len(region.pieces) != 2 or region.pieces[0].high != region.pieces[1].low:
        return None
    return region.pieces[0].high


def _without(points: Sequence[Scalar | None], variable: str) -> Region | None:
    """The line without some points, in their order."""
    try:
        placed = sorted(((real_value(point), point) for point in points if point is not None), key=lambda at: at[0])
    except Undefined:
        # A single point needs no order, so the point may be a symbol.
        if len(points) != 1 or points[0] is None:
            return None
        placed = [(0.0, points[0])]
    if len(placed) != len(points):
        return None
    ends = [_LOWEST, *(point for _, point in placed), _HIGHEST]
    return Region(tuple(Piece(low, high) for low, high in pairwise(ends)), variable)


def _variable(scalar: Scalar) -> str:
    """A symbol, the value of a function without a rule such as f(x), or an expression, which is no name."""
    if isinstance(scalar, Sym):
        return scalar.name
    applied = isinstance(scalar, Call) and scalar.name.startswith("apply ")
    return repr(scalar) if applied else f"{_EXPRESSION}{scalar!r}"


def same_region(gold: Region, answer: Region, same: Same) -> bool:
    """Equal pieces in any order; a variable on both sides must be the same, and an expression names nothing."""
    variables = {gold.variable, answer.variable} - {""}
    expression = any(variable.startswith(_EXPRESSION) for variable in variables)
    if gold.variable != answer.variable and (len(variables) > 1 or expression):
        return False
    left = list(answer.pieces)
    if len(left) != len(gold.pieces):
        return False
    for piece in gold.pieces:
        match = next((other for other in left if _same_piece(piece, other, same)), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _same_piece(gold: Piece, answer: Piece, same: Same) -> bool:
    if (gold.low_closed, gold.high_closed) != (answer.low_closed, answer.high_closed):
        return False
    return same(gold.low, answer.low) and same(gold.high, answer.high)
