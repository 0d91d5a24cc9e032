"""Is this answer that gold? One policy (docs/rewards.md) for every mode.

Both texts are read into typed trees in which every token has exactly one owner. Only two such trees are compared. What
is not read is paid only where both texts are the same, token by token.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from rewards.comparison.answer_reader import Reading, read
from rewards.comparison.asked import asked_expressions
from rewards.comparison.claims import FalseLink, final_claim, is_equation
from rewards.comparison.equality import NeedsPrecision
from rewards.comparison.items import Item
from rewards.comparison.node_equality import NodeEquality
from rewards.comparison.numerals import TooLarge
from rewards.comparison.operations import unevaluated
from rewards.comparison.quantities import plain_digits
from rewards.comparison.regions import region_of
from rewards.comparison.spellings import READ_SIGNS
from rewards.comparison.tree import (
    Based,
    Bracketed,
    Choice,
    Listing,
    Node,
    Quantity,
    Relation,
    SetBuilder,
    SetOf,
    Sym,
    Uncovered,
    Words,
    walk,
)
from rewards.comparison.units import SHORT_LETTERS, counted_nouns
from rewards.comparison.work import budget
from rewards.types import Reason, Result

MAX_CHARACTERS = 2000
MAX_NESTING = 40
_MOST_SIGNS = 400
_PLAIN_WHOLE = re.compile(r"-?[1-9][0-9]{0,14}|0")
# Products of terms: some milliseconds in the caller's process, under a second in a worker.
_QUICK_WORK, _DEEP_WORK = 4_000, 400_000


def compare(*, gold: str, answer: str, problem_text: str = "") -> Result:
    """Compare with all means; the cost is bounded, but a worker is the place to spend it.

    ``problem_text`` gives the nouns that may stand after a number.
    """
    if (seen := _at_sight(gold, answer)) is not None:
        return _result(seen, deep=True)
    with budget(_DEEP_WORK):
        return _result(_decide(gold, answer, problem_text, deep=True), deep=True)


def compare_quick(*, gold: str, answer: str, problem_text: str = "") -> Result | None:
    """The same without values of high precision and with little exact work; None where more is needed."""
    if (seen := _at_sight(gold, answer)) is not None:
        return _result(seen, deep=False)
    try:
        with budget(_QUICK_WORK) as work:
            reason = _decide(gold, answer, problem_text, deep=False)
    except NeedsPrecision:
        return None
    return None if work.exhausted else _result(reason, deep=False)


def _result(reason: Reason, *, deep: bool) -> Result:
    return Result(float(reason is Reason.CORRECT), reason, {"answered": 1.0, "symbolic": float(deep)})


def _at_sight(gold: str, answer: str) -> Reason | None:
    """The outcome where the texts alone tell, which is so for most answers to a whole number."""
    # Equal texts are right even where no reader owns every token.
    if answer.strip() == gold.strip() != "":
        return Reason.CORRECT
    return Reason.WRONG if is_plain_whole(answer) and is_plain_whole(gold) else None


def is_plain_whole(text: str) -> bool:
    """Whether a text is a whole number in the one form that each whole number has."""
    return _PLAIN_WHOLE.fullmatch(text) is not None


def _decide(gold: str, answer: str, problem_text: str, *, deep: bool) -> Reason:
    if too_large(answer):
        return Reason.TOO_COMPLEX
    if illegal_characters(answer):
        return Reason.UNPARSABLE
    try:
        wanted = _reading(_visible(gold), counted_nouns(problem_text), True)
        given = read(answer, _allowed_nouns(gold, problem_text), asked=asked_expressions(problem_text))
        return _compare(wanted, given, NodeEquality(deep=deep))
    except TooLarge:
        return Reason.TOO_COMPLEX
    except RecursionError:
        return Reason.TOO_COMPLEX


# All samples of a group are compared with the same gold.
@lru_cache(maxsize=4096)
def _reading(text: str, nouns: frozenset[str], trusted: bool) -> Reading:
    return read(text, nouns, trusted=trusted)


def _allowed_nouns(gold: str, problem_text: str) -> frozenset[str]:
    from rewards.comparison.answer_reader import nouns_of

    wanted = _reading(_visible(gold), counted_nouns(problem_text), True)
    # A letter that is a symbol of the gold cannot be a unit in the answer.
    symbols = {item.value for item in wanted.items if item.kind == "letter" and not item.text and not item.roman}
    return counted_nouns(problem_text) | nouns_of(wanted.items) | (SHORT_LETTERS - symbols)


def _compare(gold: Reading, answer: Reading, equality: NodeEquality) -> Reason:
    if not answer.items or not gold.items:
        return Reason.UNPARSABLE
    if answer.keys == gold.keys:
        return Reason.CORRECT
    # The gold says the base, so the answer may leave the base out.
    if isinstance(gold.node, Based) and plain_digits(answer.items) == gold.node.digits:
        return Reason.CORRECT
    if isinstance(gold.node, Words) and is_spelled(answer.items, gold.items):
        return Reason.CORRECT
    if gold.node is None or answer.node is None:
        return Reason.UNCOVERED
    try:
        return _compare_nodes(gold.node, answer.node, equality)
    except FalseLink:
        return Reason.WRONG
    except Uncovered:
        return Reason.UNCOVERED


def _compare_nodes(gold: Node, answer: Node, equality: NodeEquality) -> Reason:
    wanted = final_claim(gold, None, equations=True)
    given = final_claim(answer, equality.link, equations=is_equation(wanted))
    wanted, given = _without_single_set(wanted), _without_single_set(given)
    if not isinstance(wanted, Words | Choice) and unevaluated(_ends_of_region(wanted), _ends_of_region(given)):
        return Reason.UNEVALUATED
    return Reason.CORRECT if equality.equal(wanted, given) else Reason.WRONG


def _ends_of_region(node: Node) -> Node:
    """What must be worked out in an inequality: the ends, while |x| < 3 names its region as 3 does."""
    region = region_of(node) if isinstance(node, Relation | SetBuilder) else None
    if region is None:
        return node
    return Listing(
        tuple(Quantity(end) for piece in region.pieces for end in (piece.low, piece.high) if Sym("oo") not in walk(end))
    )


def _without_single_set(node: Node) -> Node:
    """``{2}`` as a whole answer is the one solution 2; a set inside a set stays one."""
    single = isinstance(node, Bracketed) and node.brackets == "{}" and len(node.members) == 1
    return node.members[0] if isinstance(node, Bracketed) and single and not _is_set(node.members[0]) else node


def _is_set(node: Node) -> bool:
    return isinstance(node, SetOf) or (isinstance(node, Bracketed) and node.brackets == "{}")


def is_spelled(answer: Sequence[Item], gold: Sequence[Item]) -> bool:
    """Whether letters that read as a product spell the one word of the gold: ``bob`` for ``\\text{Bob}``."""
    if len(gold) != 1 or gold[0].kind != "word" or not all(item.kind == "letter" for item in answer):
        return False
    together = not any(item.spaced for item in answer[1:])
    return together and "".join(item.value for item in answer).casefold() == gold[0].value.casefold()


def too_large(text: str) -> bool:
    """Whether a text is refused before reading, by length, depth of brackets and number of signs."""
    if len(text) > MAX_CHARACTERS or sum(map(text.count, "+-*/^!_=")) > _MOST_SIGNS:
        return True
    return nesting(text) > MAX_NESTING


def nesting(text: str) -> int:
    """Deepest level of brackets of any kind, counted without matching them."""
    depth = deepest = 0
    for sign in text:
        if sign in "{([":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in "})]":
            depth -= 1
    return deepest


def illegal_characters(text: str) -> bool:
    """NUL and other controls, invisible and direction marks, and digits that no table reads."""
    if text.isascii():
        return any((sign < " " and sign not in "\t\n\r") or sign == "\x7f" for sign in text)
    return any(_illegal(sign) for sign in text)


def _illegal(sign: str) -> bool:
    kind = unicodedata.category(sign)
    if kind[0] == "N" and not sign.isascii():
        return sign not in READ_SIGNS
    return kind[0] == "C" and sign not in "\t\n\r"


def _visible(text: str) -> str:
    """A gold without the invisible characters that an answer may not contain."""
    return text if text.isascii() else "".join(sign for sign in text if unicodedata.category(sign) != "Cf")
