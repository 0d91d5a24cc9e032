"""What an answer claims in the end: chains are checked link by link and give way to their last side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from rewards.comparison.big_operators import names_a_function, open_symbols, operator_of
from rewards.comparison.numeric import Undefined, real_value
from rewards.comparison.relations_reader import spread
from rewards.comparison.substitution import put
from rewards.comparison.tree import (
    CONSTANTS,
    Bracketed,
    Implications,
    Listing,
    Named,
    Node,
    Quantity,
    Relation,
    SetBuilder,
    Sym,
    free_symbols,
)

_LINKS = frozenset(("=", r"\approx"))
Link = Callable[[Node, Node, bool], bool]


class FalseLink(Exception):
    """A chain whose sides are not all the same."""


def final_claim(node: Node, link: Link | None, *, equations: bool) -> Node:
    """The node without its chains and with one spelling of names.

    Args:
        node: a gold or an answer.
        link: decides whether two neighbours of a chain are equal (third argument: approximately); None trusts.
        equations: an equation may stand as such, since the gold is one.

    Raises:
        FalseLink: a link does not hold.
    """
    if isinstance(node, Named):
        value = node.value
        if isinstance(value, Relation) and set(value.operators) <= _LINKS and value.modulus is None:
            value = _last_side(value, link, named=node.name)
        named = Named(node.name, final_claim(value, link, equations=False))
        return spread(named) or named
    if isinstance(node, Relation) and set(node.operators) <= _LINKS and node.operators and node.modulus is None:
        keep = set(node.operators) == {"="} and (equations or link is None) and bool(free_symbols(node))
        keep = keep and operator_of(node.sides[0]) is None
        return node if keep else final_claim(_last_side(node, link, named=""), link, equations=False)
    if isinstance(node, Implications) and link is not None:
        return _last_consequence(node, link)
    if isinstance(node, Listing):
        return _listing(Listing(tuple(_flat(node, link, equations)), node.word))
    if isinstance(node, Bracketed) and node.brackets == "{}":
        members = _flat(Listing(node.members), link, equations)
        names = {member.name if isinstance(member, Named) else "" for member in members}
        return Bracketed("{}", tuple(map(_value, members) if len(names) == 1 else members))
    return node


def _flat(node: Listing, link: Link | None, equations: bool) -> list[Node]:
    """Claims of the members; a member that is itself two values counts as two."""
    members: list[Node] = []
    for member in node.members:
        claim = final_claim(member, link, equations=equations)
        together = isinstance(claim, Listing) and all(isinstance(part, Named) for part in claim.members)
        members += claim.members if isinstance(claim, Listing) and not together else [claim]
    return members


def _last_consequence(claims: Implications, link: Link) -> Node:
    """The last claim, if it gives one symbol a value for which the equations before hold.

    Raises:
        FalseLink: an equation does not hold, or cannot be checked.
    """
    last = final_claim(claims.members[-1], link, equations=False)
    if not isinstance(last, Named):
        return claims
    value = last.value
    for claim in _equations(claims.members[:-1], last):
        sides = claim.sides if isinstance(claim, Relation) and set(claim.operators) == {"="} else ()
        scalars = [side.scalar for side in sides if isinstance(side, Quantity) and not side.unit and not side.percent]
        if not isinstance(value, Quantity) or not sides or len(scalars) < len(sides) or free_symbols(value):
            raise FalseLink
        if set().union(*map(free_symbols, scalars)) != {last.name}:
            raise FalseLink
        put_in = [Quantity(put(scalar, last.name, value.scalar)) for scalar in scalars]
        if not all(link(left, right, False) for left, right in pairwise(put_in)):
            raise FalseLink
    return last


def _equations(claims: Sequence[Node], last: Named) -> list[Node]:
    """The claims before the last, without the conditions that the last value meets: ``x^2=49, x>0``."""
    parts = [part for claim in claims for part in (claim.members if isinstance(claim, Listing) else (claim,))]
    return [part for part in parts if not (isinstance(part, Relation) and _is_met(part, last))]


def _is_met(condition: Relation, last: Named) -> bool:
    sides = [side for side in condition.sides if isinstance(side, Quantity) and not side.unit and not side.percent]
    if not isinstance(last.value, Quantity) or len(sides) != 2 or free_symbols(condition) != {last.name}:
        return False
    try:
        low, high = (real_value(put(side.scalar, last.name, last.value.scalar)) for side in sides)
    except Undefined:
        return False
    return (condition.operators == ("<",) and low < high) or (condition.operators == (">",) and low > high)


def _last_side(chain: Relation, link: Link | None, *, named: str) -> Node:
    """The side that is graded: the last one before an approximation.

    ``named`` is the name before the chain. A formula behind the name, as in C = 2 pi r = 10 pi, claims no number.
    """
    sides, operators = list(chain.sides), list(chain.operators)
    formula = not free_symbols(sides[-1])
    while link is not None and named and len(sides) > 1 and (
        _is_symbol(sides[0]) or (formula and _is_formula(sides[0], named))
    ):  # fmt: skip
        del sides[0], operators[0]
    if link is not None:
        for left, sign, right in zip(sides[:-1], operators, sides[1:], strict=True):
            if not link(left, right, sign != "="):
                raise FalseLink
    last = next((at for at, sign in enumerate(operators) if sign != "="), len(operators))
    return sides[last]


def _is_formula(node: Node, name: str) -> bool:
    if operator_of(node) is not None:
        return False
    symbols = open_symbols(node) if isinstance(node, Quantity) and not node.unit and not node.percent else set()
    return name not in symbols and (bool(symbols) or names_a_function(node))


def _is_symbol(node: Node) -> bool:
    return (
        isinstance(node, Quantity)
        and isinstance(node.scalar, Sym)
        and node.scalar.name not in CONSTANTS
        and not node.unit
    )


def _listing(node: Listing) -> Node:
    """``x = 2, x = 3`` and ``x = 2, 3`` are two values of one name."""
    names = [member.name if isinstance(member, Named) else "" for member in node.members]
    same = len(set(names)) == 1 or (names[0] and not any(names[1:]))
    if not names[0] or not same:
        return node
    return Named(names[0], Listing(tuple(_value(member) for member in node.members), node.word))


def _value(member: Node) -> Node:
    return member.value if isinstance(member, Named) else member


def is_equation(node: Node) -> bool:
    """Whether a gold is an equation between expressions, so that an answer may be one too."""
    if isinstance(node, Relation):
        return node.modulus is None and set(node.operators) == {"="} and bool(free_symbols(node))
    if isinstance(node, Named):
        return bool(free_symbols(node.value))
    if isinstance(node, SetBuilder):
        return is_equation(node.condition)
    return isinstance(node, Listing | Bracketed) and any(is_equation(member) for member in node.members)
