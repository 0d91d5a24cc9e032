r"""What the formula around a box says: a box is no way to hide a sign, a power, a bracket or a word.

The text of the formula beside the box belongs to the answer, up to the nearest sign that ends a claim, such as ``=``.
A closed table names what may be cut off. All other text stays, so that the comparison must read that text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rewards.comparison import spellings as spell
from rewards.comparison.items import items_of
from rewards.comparison.tokens import Token, tokenize
from rewards.extraction.neighbours import denies, stands_alone
from rewards.wordlists import words

# An inequality or a membership is part of the claim and ends none.
_ENDS_LEFT = frozenset(("=", ",", ";", ":", ".", "&", r"\\")) | {rf"\{name}" for name in words(
    "implies Rightarrow Longrightarrow rightarrow longrightarrow to iff Leftrightarrow Longleftrightarrow therefore",
    "approx equiv quad qquad colon simeq cong doteq because boxed fbox",
)}  # fmt: skip
_ENDS_RIGHT = frozenset((";", ".", "&", r"\\")) | {rf"\{name}" for name in words(
    "quad qquad end implies Rightarrow Longrightarrow iff therefore because boxed fbox tag",
)}  # fmt: skip
_TEXTS = spell.TEXT_COMMANDS | spell.ROMAN_COMMANDS
# The argument of these commands may hold the box without a change of meaning.
_TRANSPARENT = _TEXTS | {"", r"\\"} | {rf"\{name}" for name in words(
    "mathbf boldsymbol bm color textcolor colorbox underline ensuremath fbox boxed displaystyle large Large LARGE",
    "huge Huge underbrace overbrace",
)}  # fmt: skip
# Commands of running text that print their argument.
_PRINTING = _TRANSPARENT | {rf"\{name}" for name in words(
    "section subsection subsubsection paragraph title centerline caption parbox makebox framebox fcolorbox tcbox",
    "shadowbox scalebox resizebox uline item",
)}  # fmt: skip
_ROWS = frozenset(words("align align* aligned alignat alignat* gather gather* gathered equation equation* split"))
_OPENS = frozenset(("{", "(", "[", r"\{", r"\lfloor", r"\lceil"))
_CLOSES = frozenset(("}", ")", "]", r"\}", r"\rfloor", r"\rceil"))
_RELATIONS = frozenset(("=", "<", ">", r"\le", r"\ge", r"\leq", r"\geq", r"\approx"))
_PLAIN = re.compile(r"[0-9.]+|[A-Za-z]|\\[A-Za-z]+")
_NOTHING = re.compile(r"[\s.]*")
_LEADS_UP = re.compile(r"\s*(?:[A-Za-z0-9+*/ -]*[A-Za-z0-9]\s*=\s*)?")
_ROW_SPACING = re.compile(r"\\\\\s?\[-?[0-9.]+ ?[a-z]{2}\]")
_RESIDUE = re.compile(r"\s*\(?\s*\\[pb]?mod(?![a-z])\s*\{?\s*([0-9]+)\s*\}?\s*\)?\s*")


@dataclass
class _Group:
    """A bracket that is open at the box: the command whose argument it is, and where the last claim in it begins."""

    owner: str
    start: int


def with_formula(before: str, content: str, after: str, *, several: bool = False) -> str:
    """``content`` of a box with all that its formula says of the box.

    Args:
        before: the formula up to the box.
        content: what stands in the box.
        after: the formula behind the box.
        several: the content comes from several boxes, so that each side belongs to the box that the side touches.
    """
    # Most boxes stand alone in their formula, or behind a plain equation.
    if _LEADS_UP.fullmatch(before) and _NOTHING.fullmatch(after):
        return content
    left, still_open = _left(tokenize(_ROW_SPACING.sub(r"\\\\", before)))
    right = _right(tokenize(after), still_open)
    residue = _RESIDUE.fullmatch(right)
    if residue and content.strip().isdigit() and int(content) < int(residue[1]):
        right = ""
    if not still_open:
        left, right = (side if items_of(side) else "" for side in (left, right))
    if not left and not right:
        return content
    plain = several or (_PLAIN.fullmatch(content) and not left[-1:].isdigit())
    inner = content if plain else f"{{{content}}}"
    if right.lstrip().startswith("="):
        # The value in the box is graded, so the value must stand last in its chain.
        return f"{right.strip()[1:]}={left.strip()}{inner}"
    return (left + inner + right).strip()


def may_be_hidden(before: str) -> bool:
    r"""Whether a command is open after the running text ``before`` that may not print: ``\phantom{\boxed{7}}``."""
    if "{" not in before:
        return False
    owners = [group.owner for group in _open_groups(tokenize(before)) if group.owner.startswith("\\")]
    return any(owner not in _PRINTING and owner not in (r"\begin", r"\{") for owner in owners)


def _left(tokens: Sequence[Token]) -> tuple[str, int]:
    """The claim to the left of the box, and the number of its brackets that only the right side closes."""
    groups = _open_groups(tokens)
    depth = next((at for at, group in enumerate(groups[1:]) if group.owner not in _TRANSPARENT), len(groups) - 1)
    if depth == len(groups) - 1 and groups[-1].owner in _TEXTS:
        said = _joined(tokens[groups[-1].start :])
        return (said if _changes(said) else ""), 0
    return _joined(tokens[groups[depth].start :]), len(groups) - 1 - depth


def _open_groups(tokens: Sequence[Token]) -> list[_Group]:
    """The groups that are open after ``tokens``, outermost first. The first group is the formula itself."""
    groups, closed = [_Group("", 0)], ""
    at = 0
    while at < len(tokens):
        value, before = tokens[at].text, tokens[at - 1].text if at else ""
        if value == r"\begin":
            end = _end_of_argument(tokens, at)
            name = _joined(tokens[at + 2 : end - 1])
            if name in _ROWS:
                groups[-1].start = end
            else:
                groups.append(_Group(value, end))
            at = end
            continue
        if value in _TEXTS and (end := _end_of_argument(tokens, at)) > at + 1:
            if not _changes(_joined(tokens[at + 2 : end - 1])):
                groups[-1].start = end
            at = end
            continue
        if value in _OPENS:
            groups.append(_Group(_owner(value, before, closed), at + 1))
        elif (value in _CLOSES or value == r"\end") and len(groups) > 1:
            closed = groups.pop().owner
            at = _end_of_argument(tokens, at) - 1 if value == r"\end" else at
        elif _ends_claim(tokens, at, groups):
            groups[-1].start = at + 1
        at += 1
    return groups


def _owner(value: str, before: str, closed: str) -> str:
    if value not in ("{", "["):
        return value
    if before in ("}", "]"):
        return closed
    if before.startswith("\\") or before in ("^", "_"):
        return before
    return "" if value == "{" else value


def _ends_claim(tokens: Sequence[Token], at: int, groups: Sequence[_Group]) -> bool:
    value, before = tokens[at].text, tokens[at - 1].text if at else ""
    if value not in _ENDS_LEFT:
        # A line of a display is a claim of its own, unless the line before ends in a sign.
        return "\n" in value and (tokens[at - 1].kind in ("number", "letters") or before in _CLOSES) if at else False
    if value == "=":
        negated = before in ("<", ">", r"\not", r"\neg") or (
            before == "!" and at > 1 and tokens[at - 2].kind == "space"
        )
        return not negated
    if value == ".":
        return before not in spell.SIZED
    if value == ":":
        return not (at and tokens[at - 1].kind == "number")
    # A formula that begins with a member of a list offers that member too.
    return value != "," or len(groups) > 1 or groups[0].start > 0 or not items_of(_joined(tokens[:at]))


def _end_of_argument(tokens: Sequence[Token], at: int) -> int:
    """The place behind the braces that follow the command at ``at``; the next place where there are none."""
    if at + 1 >= len(tokens) or tokens[at + 1].text != "{":
        return at + 1
    depth = 0
    for place in range(at + 1, len(tokens)):
        depth += (tokens[place].text == "{") - (tokens[place].text == "}")
        if depth == 0:
            return place + 1
    return at + 1


def _right(tokens: Sequence[Token], still_open: int) -> str:
    """The claim to the right of the box: all up to the last open bracket, and on to a sign that ends the claim."""
    kept: list[Token] = []
    depth, at = still_open, 0
    while at < len(tokens):
        value = tokens[at].text
        if depth == 0 and _stops(tokens, at):
            break
        if value in _OPENS or value == r"\begin":
            depth += 1
        elif value in _CLOSES or value == r"\end":
            # A bracket around the box that prints nothing is closed here.
            if depth == 0:
                at += 1
                continue
            depth -= 1
            if value == r"\end":
                end = _end_of_argument(tokens, at)
                kept += tokens[at : end - 1]
                at = end - 1
        kept.append(tokens[at])
        at += 1
    return _joined(kept)


def _stops(tokens: Sequence[Token], at: int) -> bool:
    value = tokens[at].text
    if value == ",":
        rest = [token.text for token in tokens[at + 1 :] if token.kind != "space"]
        member = rest[: next((place for place, text in enumerate(rest) if text in _ENDS_RIGHT), len(rest))]
        return not member or member[0] in _TEXTS or bool(_RELATIONS & set(member))
    return value in _ENDS_RIGHT and not (at and tokens[at - 1].text in spell.SIZED)


def _changes(said: str) -> bool:
    """Whether words in front of a box deny the box or compute with the box."""
    return denies(said) or not stands_alone(said + "7", len(said), len(said) + 1)


def _joined(tokens: Sequence[Token]) -> str:
    return "".join(token.text for token in tokens)
