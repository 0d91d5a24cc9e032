"""Whether two trees say the same under the policy of docs/rewards.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from rewards.comparison.big_operators import comes_to, operator_of
from rewards.comparison.equality import NeedsPrecision, renamed_constant, same_scalar
from rewards.comparison.finite_sums import written_out
from rewards.comparison.normal_form import normal_form
from rewards.comparison.numerals import TooLarge
from rewards.comparison.numeric import Undefined, quick_value
from rewards.comparison.regions import region_of, same_region, speaks_of_region
from rewards.comparison.relation_equality import as_equation, same_congruence, same_equation, same_inequality
from rewards.comparison.tree import (
    Based,
    Bracketed,
    Choice,
    Compound,
    Digits,
    Implications,
    Listing,
    Matrix,
    Named,
    Node,
    Num,
    Quantity,
    Relation,
    Scalar,
    SetOf,
    Sym,
    Words,
    free_symbols,
)
from rewards.comparison.units import same_unit

_NEAR = 0.01
_NOTHING = (Words(("no", "solution")), SetOf("name", (), "empty"))
_INTEGERS = (Words(("all", "integers")), SetOf("name", (), "Z"))
_OTHERWISE = (Words(("otherwise",)), Words(("else",)))


class NodeEquality:
    """Compares under one policy; ``deep`` allows values of high precision (see ``same_scalar``)."""

    def __init__(self, *, deep: bool) -> None:
        self._deep = deep

    def scalars(self, gold: Scalar, answer: Scalar) -> bool:
        """Equality of scalars, the case of a constant of integration aside."""
        return same_scalar(gold, renamed_constant(answer, gold), deep=self._deep)

    def link(self, left: Node, right: Node, approximate: bool) -> bool:
        """Whether two neighbours of a chain are the same value, or near for an approximation."""
        if approximate and isinstance(left, Quantity) and isinstance(right, Quantity):
            return _near(left, right)
        if isinstance(left, Based) != isinstance(right, Based):
            left, right = _in_base_ten(left), _in_base_ten(right)
        left, right = _written_out(left), _written_out(right)
        if (operator := operator_of(left)) is None:
            return self.equal(left, right)
        if not self._deep:
            raise NeedsPrecision
        return comes_to(operator, right)

    def equal(self, gold: Node, answer: Node) -> bool:
        """Whether ``answer`` says what ``gold`` says."""
        if gold == answer:
            return True
        if isinstance(gold, Choice) or isinstance(answer, Choice):
            return self._choices(gold, answer)
        if speaks_of_region(gold) or speaks_of_region(answer):
            regions = region_of(gold), region_of(answer)
            if regions[0] is not None and regions[1] is not None:
                same = same_region(regions[0], regions[1], self.scalars)
                if same or not (isinstance(gold, Relation) and isinstance(answer, Relation)):
                    return same
        if isinstance(gold, Named) or isinstance(answer, Named):
            return self._named(gold, answer)
        if isinstance(gold, Listing | Bracketed) or isinstance(answer, Listing | Bracketed):
            return self._members(gold, answer)
        if _letter(gold) == _letter(answer) and _letter(gold).isupper():
            return True
        if isinstance(gold, Words) or isinstance(answer, Words):
            if gold in _INTEGERS and answer in _INTEGERS:
                return True
            # No solution and the empty set are the same answer.
            return (gold in _NOTHING and answer in _NOTHING) or _letter(gold) == _letter(answer) != ""
        return self._alike(gold, answer)

    def _alike(self, gold: Node, answer: Node) -> bool:
        """Nodes that only equal nodes of their own type."""
        if isinstance(gold, Quantity) and isinstance(answer, Quantity):
            return self._quantities(gold, answer)
        if isinstance(gold, Based):
            return self._based(gold, answer)
        if isinstance(gold, Digits) and isinstance(answer, Digits):
            return _same_digits(gold, answer)
        if isinstance(gold, Relation) and isinstance(answer, Relation):
            return self._relations(gold, answer)
        if isinstance(gold, SetOf) and isinstance(answer, SetOf):
            return self._set_operations(gold, answer)
        if isinstance(gold, Matrix) and isinstance(answer, Matrix):
            return self._matrices(gold, answer)
        if isinstance(gold, Implications) and isinstance(answer, Implications):
            return len(gold.members) == len(answer.members) and all(map(self.equal, gold.members, answer.members))
        if isinstance(gold, Compound) and isinstance(answer, Compound):
            return len(gold.parts) == len(answer.parts) and all(map(self._quantities, gold.parts, answer.parts))
        return False

    def _choices(self, gold: Node, answer: Node) -> bool:
        letters = _letter(gold), _letter(answer)
        rests = [side.rest if isinstance(side, Choice) else None for side in (gold, answer)]
        if letters[0] and letters[1]:
            if letters[0] != letters[1]:
                return False
            return rests[0] is None or rests[1] is None or self.equal(rests[0], rests[1])
        if letters[0]:
            return rests[0] is not None and self.equal(rests[0], answer)
        return rests[1] is not None and self.equal(gold, rests[1])

    def _named(self, gold: Node, answer: Node) -> bool:
        if isinstance(gold, Named) and isinstance(answer, Named):
            if gold.name == answer.name:
                return self.equal(gold.value, answer.value)
            return self._as_equations(gold, answer)
        if isinstance(gold, Relation) or isinstance(answer, Relation):
            return self._as_equations(gold, answer)
        if _other_names(gold, answer) or _other_names(answer, gold):
            return False
        # A name that the gold has not given to its values is another claim.
        if isinstance(answer, Named) and isinstance(gold, Listing) and all(map(_is_named, gold.members)):
            return False
        return self.equal(_bare(gold), _bare(answer))

    def _as_equations(self, gold: Node, answer: Node) -> bool:
        sides = as_equation(gold), as_equation(answer)
        return sides[0] is not None and sides[1] is not None and same_equation(sides[0], sides[1], self.scalars)

    def _members(self, gold: Node, answer: Node) -> bool:
        if not all(isinstance(side, Listing | Bracketed) for side in (gold, answer)) and "{}" in (
            _brackets(gold),
            _brackets(answer),
        ):
            return False
        kinds = _brackets(gold), _brackets(answer)
        members = _members(gold), _members(answer)
        if ("" in kinds and "()" in kinds) or _names_differ(*members):
            return self._in_order(
                [_bare(member) for member in members[0]], [_bare(member) for member in members[1]], kinds
            )
        if set(kinds) <= {"", "{}"}:
            return self._conjunctions_agree(gold, answer) and self._any_order(*members)
        return kinds[0] == kinds[1] and self._in_order(*members, kinds)

    def _in_order(self, gold: Sequence[Node], answer: Sequence[Node], kinds: tuple[str, str]) -> bool:
        if "{}" in kinds or len(gold) != len(answer) or (len(gold) < 2 and kinds[0] != kinds[1]):
            return False
        return all(map(self.equal, gold, answer))

    def _conjunctions_agree(self, gold: Node, answer: Node) -> bool:
        """Between conditions and between letters "and" and "or" differ; between values both only list."""
        words = [side.word for side in (gold, answer) if isinstance(side, Listing) and _is_logical(side)]
        return len(set(words)) < 2 or "or" not in words

    def _any_order(self, gold: Sequence[Node], answer: Sequence[Node]) -> bool:
        # A value that is said twice counts once.
        wanted, left = self._distinct(gold), self._distinct(answer)
        if len(wanted) != len(left):
            return False
        for member in wanted:
            match = next((other for other in left if self.equal(member, other)), None)
            if match is None:
                return False
            left.remove(match)
        return True

    def _distinct(self, members: Sequence[Node]) -> list[Node]:
        distinct: list[Node] = []
        for member in members:
            if not any(self.equal(other, member) for other in distinct):
                distinct.append(member)
        return distinct

    def _quantities(self, gold: Quantity, answer: Quantity) -> bool:
        if not same_unit(gold.unit, answer.unit):
            return False
        if gold.percent == answer.percent:
            return self.scalars(gold.scalar, answer.scalar)
        if gold.unit or answer.unit:
            return False
        return self._percent(gold, answer)

    def _percent(self, gold: Quantity, answer: Quantity) -> bool:
        """p% is p/100, and from 1 upward also p itself with an implied unit."""
        signed, bare = (gold, answer) if gold.percent else (answer, gold)
        hundredth = same_scalar(_hundredth(signed.scalar), bare.scalar, deep=self._deep)
        return hundredth or (_at_least_one(bare.scalar) and same_scalar(signed.scalar, bare.scalar, deep=self._deep))

    def _based(self, gold: Based, answer: Node) -> bool:
        """The digits of the gold, with the gold's base or with none."""
        if isinstance(answer, Based):
            return gold == answer
        plain = isinstance(answer, Quantity) and not answer.unit and isinstance(answer.scalar, Num)
        return plain and str(answer.scalar.value) == gold.digits  # type: ignore[union-attr]

    def _relations(self, gold: Relation, answer: Relation) -> bool:
        if gold.modulus is not None or answer.modulus is not None:
            return same_congruence(gold, answer, self.equal, self.scalars)
        if set(gold.operators) == set(answer.operators) == {"="}:
            return self._as_equations(gold, answer)
        if same_inequality(gold, answer):
            return True
        return gold.operators == answer.operators and len(gold.sides) == len(answer.sides) and all(
            map(self.equal, gold.sides, answer.sides)
        )  # fmt: skip

    def _set_operations(self, gold: SetOf, answer: SetOf) -> bool:
        if gold.operation != answer.operation or gold.name != answer.name or len(gold.members) != len(answer.members):
            return False
        # Of the operations only the difference depends on the order.
        if gold.operation == "difference":
            return all(map(self.equal, gold.members, answer.members))
        return self._any_order(gold.members, answer.members)

    def _matrices(self, gold: Matrix, answer: Matrix) -> bool:
        if gold.kind != answer.kind or [len(row) for row in gold.rows] != [len(row) for row in answer.rows]:
            return False
        # Cases may stand in any order, rows of a matrix may not.
        if gold.kind != "cases":
            return all(self._row(first, second) for first, second in zip(gold.rows, answer.rows, strict=True))
        left = list(answer.rows)
        for row in gold.rows:
            match = next((other for other in left if self._row(row, other) or self._other_case(row, left)), None)
            if match is None:
                return False
            left.remove(match)
        return True

    def _other_case(self, gold: Sequence[Node], left: Sequence[Sequence[Node]]) -> bool:
        """The last case may say "otherwise", since the gold's cases are all there are."""
        last = left[0] if len(left) == 1 else ()
        return len(last) == len(gold) == 2 and last[1] in _OTHERWISE and self.equal(gold[0], last[0])

    def _row(self, gold: Sequence[Node], answer: Sequence[Node]) -> bool:
        return all(map(self.equal, gold, answer))


def _other_names(one: Node, several: Node) -> bool:
    """Whether values of one name stand beside values of which some has another name."""
    names = [member.name for member in _members(several) if isinstance(member, Named)]
    return isinstance(one, Named) and isinstance(one.value, Listing) and any(name != one.name for name in names)


def _in_base_ten(node: Node) -> Node:
    return Quantity(Num(Fraction(int(node.digits, node.base)))) if isinstance(node, Based) else node


def _written_out(node: Node) -> Node:
    return replace(node, scalar=written_out(node.scalar)) if isinstance(node, Quantity) else node


def _is_named(node: Node) -> bool:
    return isinstance(node, Named)


def _bare(node: Node) -> Node:
    return node.value if isinstance(node, Named) else node


def _letter(node: Node) -> str:
    """The one letter that a node is: a choice, or a symbol that may be one."""
    if isinstance(node, Choice):
        return node.letter
    if isinstance(node, Words) and len(node.words) == 1 and len(node.words[0]) == 1:
        return node.words[0]
    if isinstance(node, Quantity) and isinstance(node.scalar, Sym) and not node.unit and not node.percent:
        # A capital in bold is the same choice.
        name = node.scalar.name.removesuffix("|vector")
        return name if len(name) == 1 else ""
    return ""


def _brackets(node: Node) -> str:
    return node.brackets if isinstance(node, Bracketed) else ""


def _members(node: Node) -> tuple[Node, ...]:
    return node.members if isinstance(node, Bracketed | Listing) else (node,)


def _names_differ(gold: Sequence[Node], answer: Sequence[Node]) -> bool:
    """Whether one side names all its values, each differently, and the other side names none."""
    named = [[isinstance(member, Named) for member in members] for members in (gold, answer)]
    if len(gold) < 2 or len(answer) < 2:
        return False
    return (all(named[0]) and not any(named[1])) or (all(named[1]) and not any(named[0]))


def _is_logical(node: Listing) -> bool:
    names = {member.name for member in node.members if isinstance(member, Named)}
    claims = len(names) > 1 or any(isinstance(member, Relation) for member in node.members)
    return claims or all(map(_letter, node.members))


def _same_digits(gold: Digits, answer: Digits) -> bool:
    halves_agree = not gold.half or not answer.half or gold.half == answer.half
    return gold.separator == answer.separator and gold.parts == answer.parts and halves_agree


def _hundredth(scalar: Scalar) -> Scalar:
    if isinstance(scalar, Num):
        return Num(scalar.value / 100)
    from rewards.comparison.tree import Div

    return Div(scalar, Num(Fraction(100)))


def _at_least_one(scalar: Scalar) -> bool:
    try:
        value = normal_form(scalar).constant()
    except TooLarge:
        return False
    return value is None or abs(value) >= 1


def _near(left: Quantity, right: Quantity) -> bool:
    """Within one percent: what stands after an approximation sign must be one."""
    if (
        left.percent != right.percent
        or not same_unit(left.unit, right.unit)
        or free_symbols(left) | free_symbols(right)
    ):
        return False
    try:
        values = [quick_value(side.scalar, {}) for side in (left, right)]
    except Undefined:
        return False
    return bool(abs(values[0] - values[1]) <= _NEAR * max(map(abs, values)))
