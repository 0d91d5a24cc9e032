r"""Tuples, sets, intervals and lists whose members are exact numbers: compared without the engine."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rewards.comparison.exact_numbers import Numeral, read_numeral, same_number

_SEPARATOR_WORD = re.compile(
    r",?\s*(?:\\text\s*\{\s*,?\s*(?:and|or)\s*\}|\\(?:lor|land|vee|wedge)(?![A-Za-z])|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z]))\s*"
)
_DEGREES = re.compile(r"\^\s*\{?\s*\\circ\s*\}?$")
_BRACKETS = {("(", ")"): "tuple", ("[", "]"): "closed", ("(", "]"): "left open", ("[", ")"): "right open"}
_SET = ((r"\{", r"\}"), (r"\lbrace", r"\rbrace"))


@dataclass(frozen=True)
class Listing:
    """Members in written order; ``kind`` is one of bare, set, tuple, closed, left open, right open."""

    kind: str
    members: tuple[Numeral, ...]


def read_listing(text: str) -> Listing | None:
    """Two or more exact numbers in one pair of brackets or none, else None. ``text`` is cleaned."""
    kind, body = outer_brackets(text)
    members: list[Numeral] = []
    for item in split_top(_SEPARATOR_WORD.sub(",", body)):
        both_signs = item.startswith(r"\pm")
        numeral = read_numeral(_DEGREES.sub("", item.removeprefix(r"\pm")).strip())
        if numeral is None:
            return None
        members.append(numeral)
        if both_signs:
            members.append(Numeral(-numeral.value, numeral.percent, numeral.digits))
    if len(members) < 2 and kind != "set":
        return None
    return Listing(kind, tuple(members))


def outer_brackets(text: str) -> tuple[str, str]:
    """Kind of a listing (see ``Listing``) and what its brackets enclose."""
    for opening, closing in _SET:
        if text.startswith(opening) and text.endswith(closing):
            return "set", text[len(opening) : -len(closing)].strip()
    kind = _BRACKETS.get((text[:1], text[-1:]))
    # "(1,2),(3,4)" begins and ends with brackets that are not a pair.
    if kind is not None and not re.search(r"[)\]].*[(\[]", text[1:-1]):
        return kind, text[1:-1].strip()
    return "bare", text


def split_top(text: str) -> list[str]:
    """Split at commas and semicolons outside brackets; a comma within a thousands group is none."""
    items, depth, start = [], 0, 0
    for at, ch in enumerate(text):
        if ch in "({[":
            depth += 1
        elif ch in ")}]":
            depth -= 1
        elif ch in ",;" and depth == 0:
            items.append(text[start:at].strip())
            start = at + 1
    return [*items, text[start:].strip()]


def same_listing(gold: Listing, answer: Listing) -> bool:
    """Order counts inside brackets, not in bare lists and sets; a tuple in order may lack its brackets."""
    kinds = {gold.kind, answer.kind}
    if kinds <= {"bare", "set"}:
        return _same_members(gold.members, answer.members)
    if len(kinds) > 1 and kinds != {"bare", "tuple"}:
        return False
    return len(gold.members) == len(answer.members) and all(map(same_number, gold.members, answer.members))


def _same_members(gold: tuple[Numeral, ...], answer: tuple[Numeral, ...]) -> bool:
    wanted, left = _distinct(gold), _distinct(answer)
    if len(wanted) != len(left):
        return False
    for member in wanted:
        match = next((other for other in left if same_number(member, other)), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _distinct(members: tuple[Numeral, ...]) -> list[Numeral]:
    return list({member.value: member for member in members}.values())


def differ_in_count(gold: str, answer: str) -> bool:
    """Whether two cleaned texts surely offer different numbers of answers at their top level."""
    counts = _distinct_count(gold), _distinct_count(answer)
    return None not in counts and counts[0] != counts[1]


def _distinct_count(text: str) -> int | None:
    """None where a sign like \\pm, outer brackets, or two kinds of separators leave the count open."""
    if r"\pm" in text or r"\mp" in text or (";" in text and "," in text) or outer_brackets(text)[0] != "bare":
        return None
    return len({item.replace(" ", "") for item in split_top(_SEPARATOR_WORD.sub(",", text))})
