"""Equality of equations, inequalities and congruences."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from rewards.comparison.normal_form import Polynomial, normal_form
from rewards.comparison.numerals import TooLarge
from rewards.comparison.scalar_reader import negative
from rewards.comparison.tree import Add, Named, Node, Num, Quantity, Relation, Scalar, Sym, Uncovered, free_symbols

_UPWARD = {">": "<", r"\ge": r"\le"}
Sides = tuple[Scalar, Scalar]
Same = Callable[[Scalar, Scalar], bool]


def as_equation(node: Node) -> Sides | None:
    """Both sides of an equation of scalars; a named scalar is the equation of its name. Else None."""
    if isinstance(node, Named):
        value = _scalar(node.value)
        symbol = Sym(node.name) if _is_symbol_name(node.name) else None
        return None if value is None or symbol is None or not free_symbols(value) else (symbol, value)
    if isinstance(node, Relation) and node.operators == ("=",) and node.modulus is None:
        sides = _scalar(node.sides[0]), _scalar(node.sides[1])
        return None if sides[0] is None or sides[1] is None else (sides[0], sides[1])
    return None


def _is_symbol_name(name: str) -> bool:
    """A name that reads back as one symbol; the name of a function is its letter."""
    return len(name) == 1 or (name.startswith("\\") and name[1:].isalpha())


def _scalar(node: Node) -> Scalar | None:
    return node.scalar if isinstance(node, Quantity) and not node.unit and not node.percent else None


def same_equation(gold: Sides, answer: Sides, same: Same) -> bool:
    """Equal side by side in either order, or proportional when everything is on one side."""
    first, second = _on_one_side(gold), _on_one_side(answer)
    if first is not None and second is not None and (factor := proportion(first, second)) is not None:
        return factor != 0
    straight = same(gold[0], answer[0]) and same(gold[1], answer[1])
    return straight or (same(gold[0], answer[1]) and same(gold[1], answer[0]))


def _on_one_side(sides: Sides) -> Polynomial | None:
    try:
        form = normal_form(Add((sides[0], negative(sides[1]))))
    except (TooLarge, Uncovered):
        return None
    # Multiplying by a bottom of several terms may add solutions.
    return form.top if len(form.bottom) == 1 else None


def proportion(first: Polynomial, second: Polynomial) -> Fraction | None:
    """The rational ``first / second`` where it is one, else None."""
    if not first or not second or set(first) != set(second):
        return None
    ratios = {value / second[monomial] for monomial, value in first.items()}
    return ratios.pop() if len(ratios) == 1 else None


def same_inequality(gold: Relation, answer: Relation) -> bool:
    """Two inequalities of two sides whose differences are proportional by a positive factor."""
    one, other = _downward(gold), _downward(answer)
    if one is None or other is None or one[0] != other[0]:
        return False
    factor = proportion(one[1], other[1])
    # A negative factor turns the sign around.
    return factor is not None and factor > 0


def _downward(node: Relation) -> tuple[str, Polynomial] | None:
    """The sign, made < or <=, and the left side minus the right one."""
    if len(node.sides) != 2:
        return None
    sides = _scalar(node.sides[0]), _scalar(node.sides[1])
    sign = node.operators[0]
    if sides[0] is None or sides[1] is None or sign not in ("<", r"\le", *_UPWARD):
        return None
    ordered = (sides[1], sides[0]) if sign in _UPWARD else (sides[0], sides[1])
    polynomial = _on_one_side(ordered)
    return None if polynomial is None else (_UPWARD.get(sign, sign), polynomial)


def same_congruence(gold: Relation, answer: Relation, equal: Callable[[Node, Node], bool], same: Same) -> bool:
    """Equal moduli, residues that agree by the modulus, and the same thing congruent to them where both name one."""
    if gold.modulus is None or answer.modulus is None or not same(gold.modulus, answer.modulus):
        return False
    if not _same_residue(gold.sides[-1], answer.sides[-1], gold.modulus, equal):
        return False
    names = gold.sides[:-1], answer.sides[:-1]
    return not names[0] or not names[1] or (len(names[0]) == len(names[1]) and all(map(equal, *names)))


def _same_residue(gold: Node, answer: Node, modulus: Scalar, equal: Callable[[Node, Node], bool]) -> bool:
    values = _scalar(gold), _scalar(answer)
    if isinstance(modulus, Num) and all(isinstance(value, Num) for value in values) and modulus.value:
        return (values[0].value - values[1].value) % modulus.value == 0  # type: ignore[union-attr]
    return equal(gold, answer)
