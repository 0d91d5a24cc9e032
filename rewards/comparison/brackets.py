r"""Sets, tuples, intervals, unions, set builders, matrices and cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rewards.comparison.items import Item
from rewards.comparison.scalar_reader import read_scalar
from rewards.comparison.splitting import closing, split, split_members
from rewards.comparison.tree import (
    Bracketed,
    Choice,
    Listing,
    Matrix,
    Mul,
    Node,
    Quantity,
    Scalar,
    SetBuilder,
    SetOf,
    Sym,
    Uncovered,
    walk,
)

if TYPE_CHECKING:
    from rewards.comparison.answer_reader import AnswerReader

_OPENING = {"(": "(", "[": "[", r"\{": "{"}
_CLOSING = {")": ")", "]": "]", r"\}": "}"}
_KINDS = ("()", "[]", "(]", "[)", "{}")
_NAMED_SETS = frozenset("RZNQC")
_ENVIRONMENT = r"\begin{"


def read_brackets(reader: AnswerReader, items: Sequence[Item]) -> Node | None:
    """One pair of brackets around the whole: a set, a tuple or an interval. Round ones around one member go."""
    if not items[0].is_(*_OPENING) or closing(items, 0) != len(items) - 1:
        return None
    kind = _OPENING[items[0].value] + _CLOSING.get(items[-1].value, "?")
    if kind not in _KINDS:
        raise Uncovered(kind)
    inner = items[1:-1]
    if not inner:
        return SetOf("name", (), "empty") if kind == "{}" else None
    if kind == "{}" and (builder := _set_builder(reader, inner)) is not None:
        return builder
    members, _ = split_members(inner)
    if kind == "()" and len(members) == 1:
        node = reader.read(inner)
        return node if isinstance(node, SetOf) or (isinstance(node, Quantity) and not node.unit) else None
    if any(not member for member in members):
        raise Uncovered("an empty member")
    return Bracketed(kind, tuple(reader.read(member) for member in members))


def _set_builder(reader: AnswerReader, inner: Sequence[Item]) -> Node | None:
    parts, marks = split(inner, lambda item: item.is_("|", ":"))
    if len(parts) != 2 or not marks or not parts[0] or not parts[1]:
        return None
    domain = [at for at, item in enumerate(parts[0]) if item.is_(r"\in")]
    names = parts[0][: domain[0]] if domain else parts[0]
    # The reals are the only domain that changes nothing.
    if domain and [item.value for item in parts[0][domain[0] + 1 :]] != ["R"]:
        raise Uncovered("domain")
    return SetBuilder("".join(item.value for item in names), reader.read(parts[1]))


def read_french_interval(reader: AnswerReader, items: Sequence[Item]) -> Node | None:
    """``[2,5[`` and ``]2,5]``: an outward bracket is open."""
    if not (items[0].is_("[", "]") and items[-1].is_("[", "]")) or len(items) < 5:
        return None
    if (items[0].is_("[") and items[-1].is_("]")) or any(item.is_("[", "]", "(", ")") for item in items[1:-1]):
        return None
    ends, _ = split(items[1:-1], lambda item: item.is_(",", ";"))
    if len(ends) != 2 or not all(ends):
        return None
    kind = ("[" if items[0].is_("[") else "(") + ("]" if items[-1].is_("]") else ")")
    return Bracketed(kind, tuple(reader.read(end) for end in ends))


def read_set_operation(reader: AnswerReader, items: Sequence[Item]) -> Node | None:
    r"""Unions, intersections and differences; ``\mathbb{R} - \{0\}`` is a difference."""
    if (name := _named_set(items)) is not None:
        return name
    # Unions are cut first, since an intersection binds more tightly.
    for sign, operation in ((r"\cup", "union"), (r"\cap", "intersection"), (r"\setminus", "difference")):
        parts, _ = split(items, lambda item, sign=sign: item.is_(sign))  # type: ignore[misc]
        if len(parts) > 1:
            return _operation(reader, operation, parts)
    parts, signs = split(items, lambda item: item.is_("-"))
    if len(parts) == 2 and signs and parts[0] and parts[1] and parts[1][0].is_(r"\{") and _named_set(parts[0]):
        return _operation(reader, "difference", parts)
    return None


def _operation(reader: AnswerReader, operation: str, parts: Sequence[Sequence[Item]]) -> Node:
    if any(not part for part in parts):
        raise Uncovered(operation)
    members = tuple(reader.read(part) for part in parts)
    # The bracket of a choice label closes nothing here.
    if any(isinstance(member, Choice) for member in members):
        raise Uncovered(operation)
    return SetOf(operation, members)  # type: ignore[arg-type]


def _named_set(items: Sequence[Item]) -> SetOf | None:
    if len(items) != 1:
        return None
    if items[0].is_(r"\emptyset"):
        return SetOf("name", (), "empty")
    if items[0].font == "bb" and items[0].value in _NAMED_SETS:
        return SetOf("name", (), items[0].value)
    return None


def read_environment(reader: AnswerReader, items: Sequence[Item]) -> Node | None:
    """A matrix, a determinant or cases, if nothing else stands beside the environment."""
    items = _cases_by_hand(items)
    items = _without_outer_brackets(items)
    if (scaled := _scaled_matrix(reader, items)) is not None:
        return scaled
    if not items[0].value.startswith(_ENVIRONMENT) or closing(items, 0) != len(items) - 1:
        return None
    kind = items[0].value.removeprefix(_ENVIRONMENT).rstrip("}")
    rows, _ = split(items[1:-1], lambda item: item.is_(r"\\"))
    # A row mark after the last row opens no further row.
    if not rows[-1]:
        rows.pop()
    cells = [split(row, lambda item: item.is_("&"))[0] for row in rows]
    if kind == "aligned" and (chain := _one_chain(cells)):
        return reader.read(chain)
    if kind == "aligned" or not cells or any(not cell for row in cells for cell in row):
        raise Uncovered(kind)
    if kind == "cases" and all(len(row) == 1 for row in cells):
        return Listing(tuple(_cell(reader, row[0], kind) for row in cells), "and")
    return Matrix(tuple(tuple(_cell(reader, cell, kind) for cell in row) for row in cells), kind)


def _one_chain(cells: Sequence[Sequence[Sequence[Item]]]) -> list[Item]:
    """The items of aligned rows of which each row but the first goes on with an equals sign, else nothing."""
    goes_on = all(len(row) == 2 and not row[0] and row[1] and row[1][0].is_("=", r"\approx") for row in cells[1:])
    return [item for row in cells for cell in row for item in cell] if goes_on else []


def _scaled_matrix(reader: AnswerReader, items: Sequence[Item]) -> Node | None:
    """A scalar in front of a matrix multiplies each entry."""
    start = next((at for at, item in enumerate(items) if item.value.startswith(_ENVIRONMENT)), 0)
    if not start or closing(items, start) != len(items) - 1:
        return None
    front = items[: start - 1] if items[start - 1].is_(r"\cdot") else items[:start]
    if not front or any(item.is_("=", ",") for item in front):
        return None
    matrix = read_environment(reader, items[start:])
    if not isinstance(matrix, Matrix) or matrix.kind != "matrix":
        return None
    factor = read_scalar([Item("num", "1")] if len(front) == 1 and front[0].is_("+") else _minus_one(front))
    if Sym("oo") in walk(factor):
        raise Uncovered("infinity")
    rows = tuple(tuple(_times(factor, entry) for entry in row) for row in matrix.rows)
    return Matrix(rows, matrix.kind)


def _minus_one(front: Sequence[Item]) -> Sequence[Item]:
    return [*front, Item("num", "1")] if len(front) == 1 and front[0].is_("-") else front


def _times(factor: Scalar, entry: Node) -> Node:
    if not isinstance(entry, Quantity) or entry.unit or entry.percent:
        raise Uncovered("an entry")
    return Quantity(Mul((factor, entry.scalar)))


def _cases_by_hand(items: Sequence[Item]) -> Sequence[Item]:
    r"""``\left\{\begin{array}...\end{array}\right.`` as cases: one brace in front of an array."""
    matrix = _ENVIRONMENT + "matrix}"
    if len(items) < 3 or not items[0].is_(r"\{") or items[1].value != matrix or closing(items, 1) != len(items) - 1:
        return items
    return [replace(items[1], value=_ENVIRONMENT + "cases}"), *items[2:]]


def _without_outer_brackets(items: Sequence[Item]) -> Sequence[Item]:
    """An array often stands between brackets of its own."""
    pair = len(items) > 2 and items[0].is_("(", "[") and closing(items, 0) == len(items) - 1
    return items[1:-1] if pair and items[1].value.startswith(_ENVIRONMENT) else items


def _cell(reader: AnswerReader, cell: Sequence[Item], kind: str) -> Node:
    while (
        kind == "cases"
        and len(cell) > 1
        and (cell[-1].is_(",", ".", ";") or cell[0].value.casefold() in ("if", "for", "when"))
    ):
        cell = cell[1:] if cell[0].value.casefold() in ("if", "for", "when") else cell[:-1]
    return reader.read(cell)
