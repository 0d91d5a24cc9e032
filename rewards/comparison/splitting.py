r"""Cutting items at the top level: outside every pair of brackets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rewards.comparison.items import Item

_OPENING = {"(": ")", "[": "]", "{": "}", r"\{": r"\}", r"\lfloor": r"\rfloor", r"\lceil": r"\rceil"}
_CLOSING = frozenset((*_OPENING.values(),))
_JOINING_WORDS = {"and": "and", "or": "or", r"\land": "and", r"\lor": "or", "&": "and"}


def depth_change(item: Item) -> int:
    """1 for an opening bracket or environment, -1 for a closing one, else 0."""
    if item.kind not in ("sign", "cmd"):
        return 0
    if item.value in _OPENING or item.value.startswith(r"\begin"):
        return 1
    return -1 if item.value in _CLOSING or item.value.startswith(r"\end") else 0


def top_level(items: Sequence[Item]) -> Iterator[tuple[int, Item]]:
    """Items outside brackets, with their positions; the brackets themselves are not among them."""
    depth = 0
    for at, item in enumerate(items):
        change = depth_change(item)
        if change == 0 and depth == 0:
            yield at, item
        # A stray closing bracket must not hide what follows.
        depth = max(0, depth + change)


def split(items: Sequence[Item], where: Callable[[Item], bool]) -> tuple[list[Sequence[Item]], list[Item]]:
    """The pieces between top-level items that meet ``where``, and those items."""
    pieces: list[Sequence[Item]] = []
    separators: list[Item] = []
    start = 0
    for at, item in top_level(items):
        if where(item):
            pieces.append(items[start:at])
            separators.append(item)
            start = at + 1
    return [*pieces, items[start:]], separators


def closing(items: Sequence[Item], opening: int) -> int | None:
    """Index of the bracket that closes the one at ``opening``; brackets need not be of one kind, as in (0, 1]."""
    depth = 0
    for at in range(opening, len(items)):
        depth += depth_change(items[at])
        if depth == 0:
            return at
    return None


def strip_group(items: Sequence[Item]) -> Sequence[Item]:
    """``items`` without braces around the whole, which print nothing."""
    while len(items) > 2 and items[0].is_("{") and closing(items, 0) == len(items) - 1:
        items = items[1:-1]
    return items


def split_members(items: Sequence[Item]) -> tuple[list[Sequence[Item]], str]:
    """Members of a list and the word that joins the last two, if any; a semicolon goes before a comma."""
    semicolons, _ = split(items, lambda item: item.is_(";"))
    if len(semicolons) > 1:
        return semicolons, ""
    pieces, separators = split(items, _joins)
    # "1, 2, and 3": a comma and a word are one separator.
    kept = [piece for at, piece in enumerate(pieces) if piece or not _doubled(separators, at)]
    word = next((_JOINING_WORDS[item.value.casefold()] for item in separators if not item.is_(",")), "")
    return kept, word


def _doubled(separators: Sequence[Item], at: int) -> bool:
    return 0 < at < len(separators) and separators[at - 1].is_(",") and not separators[at].is_(",")


def _joins(item: Item) -> bool:
    if item.is_(","):
        return item.font != "braced"
    if item.is_("&"):
        return item.text
    return item.value.casefold() in _JOINING_WORDS and item.kind in ("word", "cmd")
