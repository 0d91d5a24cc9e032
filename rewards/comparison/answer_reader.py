r"""From a text to its typed tree: one reader for golds and answers, in every mode.

The readers of this module cut the items at the top level and hand each piece on, so that every item ends in exactly one
node. ``Uncovered`` says that an item found no owner.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rewards.comparison import relations_reader
from rewards.comparison import spellings as spell
from rewards.comparison.brackets import read_brackets, read_environment, read_french_interval, read_set_operation
from rewards.comparison.items import Item, items_of
from rewards.comparison.numerals import TooLarge, joined
from rewards.comparison.quantities import (
    read_based,
    read_compound,
    read_digits,
    read_quantity,
    read_sum_of_quantities,
    without_text,
)
from rewards.comparison.splitting import closing, split_members, strip_group
from rewards.comparison.tree import Choice, Listing, Node, Uncovered, Words
from rewards.comparison.units import NEVER_A_NOUN, SHORT_LETTERS, noun
from rewards.comparison.words import folded, is_choice_label, is_hedged, without_lead_in, without_trailer

_MOST_DEPTH = 8
# Members in any order are compared pair by pair, so the work grows with the square.
_MOST_MEMBERS = 150
_PROGRAM_NUMBER = re.compile(r"(?:[0-9\s.+*/()^I-]|sqrt|pi)*(?:\*\s*I|I\s*\*)(?:[0-9\s.+*/()^I-]|sqrt|pi)*")
_END = (".", ",", ";", r"\\", "\u3002")


@dataclass(frozen=True)
class Reading:
    """The items of a text without layout, and the tree that owns all of them, or None."""

    items: tuple[Item, ...]
    node: Node | None

    @property
    def keys(self) -> tuple[tuple[str, str], ...]:
        """What two uncovered texts must share; braces around one item print nothing."""
        keys = [item.key for item in self.items]
        braces = ("{", ""), ("}", "")
        alone = {at for at in range(1, len(keys) - 1) if (keys[at - 1], keys[at + 1]) == braces}
        dropped = {at + step for at in alone for step in (-1, 1)}
        return tuple(key for at, key in enumerate(keys) if at not in dropped)


def read(
    text: str, nouns: frozenset[str] = frozenset(), *, trusted: bool = False, asked: frozenset[str] = frozenset()
) -> Reading:
    """Read a text.

    Args:
        text: a gold, or an extracted answer.
        nouns: singular nouns that may stand after a number like a unit.
        trusted: the text is a gold, whose own nouns count as well.
        asked: expressions that the problem asks for, which may name the answer (see ``asked_expressions``).
    """
    # A program writes the imaginary unit as a capital letter.
    if trusted and "I" in text and _PROGRAM_NUMBER.fullmatch(text):
        text = text.replace("I", "i")
    items = strip_end(joined(items_of(text)))
    if trusted:
        nouns |= nouns_of(items)
    try:
        node = AnswerReader(nouns, asked).read(items) if items else None
    except Uncovered:
        node = None
    return Reading(tuple(items), node)


def nouns_of(items: Sequence[Item]) -> frozenset[str]:
    """Words of a gold that stand after a number."""
    found: set[str] = set()
    after_number = False
    for item in items:
        if item.kind == "word" and after_number:
            if item.value.casefold() in NEVER_A_NOUN or noun(item.value) in NEVER_A_NOUN:
                after_number = False
            else:
                found.add(noun(item.value))
        # With a space 5 m may be metres, without a space 5m is a product.
        elif item.kind == "letter" and item.spaced and after_number and item.value in SHORT_LETTERS:
            found.add(item.value)
        else:
            after_number = item.kind == "num" or (item.is_("}", ")") and after_number)
    return frozenset(found)


def strip_end(items: Sequence[Item]) -> list[Item]:
    """``items`` without closing punctuation and without a group around the whole."""
    items = list(items)
    while items and items[-1].is_(*_END):
        items.pop()
    # The full stop of a sentence lies inside the numeral before.
    if items and items[-1].kind == "num" and items[-1].value.endswith("."):
        items[-1] = replace(items[-1], value=items[-1].value.rstrip("."))
    while len(items) > 1 and items[0].is_(r"\approx", "=", r"\therefore", r"\implies"):
        items = items[1:]
    return items


class AnswerReader:
    """Reads items with a set of nouns that count as units."""

    def __init__(self, nouns: frozenset[str], asked: frozenset[str] = frozenset()) -> None:
        self.nouns = nouns
        self.asked = asked
        self._depth = 0

    def read(self, items: Sequence[Item]) -> Node:
        """The node that owns all of ``items``."""
        self._depth += 1
        if self._depth > _MOST_DEPTH or not items:
            raise Uncovered("depth or nothing")
        try:
            # Inside the first group a second, empty group may be all that a lead-in leaves.
            if not (stripped := strip_group(without_trailer(without_lead_in(strip_group(items))))):
                raise Uncovered("nothing")
            return self._read(stripped)
        finally:
            self._depth -= 1

    def attempt(self, items: Sequence[Item]) -> Node | None:
        """The node, or None where an item has no owner."""
        try:
            return self.read(items)
        except Uncovered:
            return None

    def _read(self, items: Sequence[Item]) -> Node:
        readers: tuple[Callable[[Sequence[Item]], Node | None], ...] = (
            self._choice,
            lambda part: read_french_interval(self, part),
            lambda part: read_environment(self, part),
            lambda part: relations_reader.read_congruence(self, part),
            self._compound,
            lambda part: relations_reader.read_implications(self, part),
            self._listing,
            lambda part: relations_reader.read_relation(self, part),
            lambda part: read_set_operation(self, part),
            lambda part: read_brackets(self, part),
            lambda part: relations_reader.read_point(self, part),
            lambda part: relations_reader.read_cross_product(self, part),
        )
        for reader in readers:
            node = reader(items)
            if node is not None:
                return node
        return self._leaf(items)

    def _choice(self, items: Sequence[Item]) -> Node | None:
        """``(B)``, ``B.``, ``B) 12``, ``Option B``, ``(E) ellipse``."""
        labelled = len(items) > 1 and is_choice_label(items[0])
        body = items[1:] if labelled else items
        bracketed = len(body) > 2 and (body[0].value, body[2].value) in (("(", ")"), ("[", "]"))
        letter = body[1] if bracketed else body[0]
        rest = body[3:] if bracketed else body[1:]
        if letter.kind != "letter" or letter.font not in ("", "vector") or (bracketed and rest and rest[0].is_(",")):
            return None
        if not bracketed and rest:
            dash = rest[0].is_("-") and rest[0].text and rest[0].spaced
            if not letter.value.isupper() or not (rest[0].is_(")", ".", ":") or dash):
                return None
            rest = rest[1:]
        elif (bracketed and rest and not (letter.value.isupper() and (rest[0].spaced or rest[0].text))) or (
            not bracketed and not labelled
        ):
            return None
        if rest and rest[0].is_(".", ":"):
            rest = rest[1:]
        return self._choice_with(letter.value, strip_end(rest))

    def _choice_with(self, letter: str, rest: Sequence[Item]) -> Node:
        if not rest:
            return Choice(letter)
        if is_hedged(rest, letter):
            raise Uncovered("a second choice")
        node = self.attempt(rest)
        if node is None:
            raise Uncovered("text of a choice")
        return Choice(letter, node)

    def _compound(self, items: Sequence[Item]) -> Node | None:
        if items[0].kind != "num":
            return None
        try:
            return read_compound(items, self.nouns)
        except Uncovered:
            return None

    def _listing(self, items: Sequence[Item]) -> Node | None:
        members, word = split_members(items)
        if len(members) < 2:
            return None
        if any(not member for member in members):
            raise Uncovered("an empty member")
        if len(members) > _MOST_MEMBERS:
            raise TooLarge("members")
        return Listing(tuple(self.read(member) for member in members), word)

    def _leaf(self, items: Sequence[Item]) -> Node:
        if (signs := _both_signs(items)) is not None:
            return Listing(tuple(self.read(part) for part in signs), "or")
        # Digits go first, because a date reads as a difference too, and a time as a ratio.
        for attempt in (self._digits, read_based, self._quantity, self._quantity_in_text):
            try:
                return attempt(items)
            except Uncovered:
                continue
        return _words(items)

    def _digits(self, items: Sequence[Item]) -> Node:
        return read_digits(items)

    def _quantity(self, items: Sequence[Item]) -> Node:
        if is_words(items):
            raise Uncovered("words")
        # The last sign of degrees is the unit of its own term alone.
        angles = sum(item.is_(r"\circ", r"\circ*") for item in items) > 1
        readers = (read_quantity, read_sum_of_quantities)
        first, second = reversed(readers) if angles else readers
        try:
            return first(items, self.nouns)
        except Uncovered:
            return second(items, self.nouns)

    def _quantity_in_text(self, items: Sequence[Item]) -> Node:
        """The whole answer stands in a text command: its letters are symbols where that makes a formula."""
        plain = without_text(items)
        if is_words(items) or plain == list(items):
            raise Uncovered("words")
        return read_quantity(plain, self.nouns)


def is_words(items: Sequence[Item]) -> bool:
    """Whether all items are letters and words of a text, or a run of capitals, whose order counts."""
    if all(item.kind == "word" and not item.value.isdigit() for item in items):
        return items[0].value not in ("pi", "infty", "oo", "inf", "infinity")
    letters = [item for item in items if item.kind in ("letter", "word")]
    applied = letters[:1] and letters[0].value in spell.FUNCTIONS
    if len(letters) == len(items) > 1 and (letters[0].text or letters[0].roman) and not applied:
        return True
    capitals = all(item.kind == "letter" and item.value.isupper() for item in items)
    return len(items) > 1 and capitals and not any(item.spaced for item in items[1:])


def _words(items: Sequence[Item]) -> Node:
    marks = [item for item in items if item.is_(r"\angle", r"\triangle")]
    words = folded([item for item in items if item not in marks])
    if not words or (marks and not items[0].is_(r"\angle", r"\triangle")):
        raise Uncovered("neither mathematics nor words")
    if not any(item.kind in ("word", "letter") for item in items):
        raise Uncovered("numerals side by side")
    return Words((*(mark.value for mark in marks), *words))


def _both_signs(items: Sequence[Item]) -> tuple[list[Item], list[Item]] | None:
    r"""The two readings of ``\pm`` and ``\mp``: all upper signs, then all lower ones."""
    if not any(item.is_(r"\pm", r"\mp") for item in items):
        return None
    upper = [_signed(item, "+", "-") for item in items]
    lower = [_signed(item, "-", "+") for item in items]
    return upper, lower


def _signed(item: Item, plus_minus: str, minus_plus: str) -> Item:
    if item.is_(r"\pm"):
        return Item("sign", plus_minus, item.spaced)
    return Item("sign", minus_plus, item.spaced) if item.is_(r"\mp") else item


__all__ = ["AnswerReader", "Reading", "closing", "read"]
