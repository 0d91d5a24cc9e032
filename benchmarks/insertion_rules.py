r"""Which row of the policy covers a change of a paid answer that is still paid, decided by code.

Each rule has words of ``docs/rewards.md`` and a predicate. A predicate undoes what its row allows, on both texts, and
compares the rest, or evaluates both texts by the second grader, which shares no code with the comparison.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from benchmarks.rewards_insertions import Change
from rewards.auditing.second_grader import second_opinion

_SPACES = re.compile(
    r"\\[,;:! ]|\\q?quad\b|~|\s+|(?<!\\)\$|\\(?:left|right|big|Big|bigl|bigr|displaystyle|limits)(?![A-Za-z])\.?"
    r"|\\[\[\]()](?!\d)|`|\*\*"
)
_WRAPPERS = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|texttt|textnormal|textsc|mbox|hbox|emph|textup|mathrm|mathbf|mathit|mathsf"
    r"|mathtt|operatorname\*?|boldsymbol|bm|ensuremath|underline|boxed|fbox|bf|rm|it|bfseries|itshape|Large|large|huge"
    r"|normalsize|small|tiny|LARGE|Huge|mathnormal|mathop)(?![A-Za-z])"
)
_COLOURS = re.compile(r"\\(?:text)?color(?:box)?\s*\{[^{}]*\}|\\[hv]space\s*\{[^{}]*\}|\\tag\s*\{[^{}]*\}")
_NUMERAL = re.compile(r"\d[\d.]*|\.\d+")
_RELATION = re.compile(r"=|\\in(?![a-z])|\\approx(?![a-z])|<|>|\\[lg]eq?(?![a-z])|\\equiv(?![a-z])|\\to(?![a-z])")
_LETTER_GOLD = re.compile(r"(?:\\(?:text|textbf|mathrm)\{)?\(?([A-Ja-j])\)?\}?(?:[.:)].*)?", re.DOTALL)
_SEPARATOR = re.compile(r",|;|\bor\b|\band\b|\\lor|\\text\{[^{}]*\b(?:or|and)\b[^{}]*\}")


def bare(text: str) -> str:
    """A text without what prints nothing: spaces, sizes, fonts, colours, braces and closing punctuation."""
    text = _WRAPPERS.sub("", _SPACES.sub("", _COLOURS.sub("", text)))
    return re.sub(r"[{}]", "", text).rstrip(".,;\u3002")


def _values(text: str) -> list[str | Fraction]:
    """A text cut at its numerals, numerals as values."""
    cut: list[str | Fraction] = []
    at = 0
    for found in _NUMERAL.finditer(text):
        try:
            cut += [text[at : found.start()], Fraction(found[0].rstrip("."))]
        except ValueError:
            return [text]
        at = found.end()
    return [*cut, text[at:]]


def _without(pattern: str, *, put: str = "") -> Callable[[Change], bool]:
    """Whether both texts are the same once the pattern is taken out of both."""
    taken = re.compile(pattern)
    return lambda change: taken.sub(put, bare(change.text)) == taken.sub(put, bare(change.pair.answer))


def _layout(change: Change) -> bool:
    return bare(change.text) == bare(change.pair.answer)


def _zeros(change: Change) -> bool:
    return change.inserted == "0" and _values(bare(change.text)) == _values(bare(change.pair.answer))


def _in_name(change: Change) -> bool:
    """The change stands before the last sign of a relation of its member, and the gold has no such sign."""
    before = _SEPARATOR.split(change.before)[-1]
    named = _RELATION.search(change.inserted + change.after) is not None
    return named and not _RELATION.search(before) and not _RELATION.search(change.pair.gold)


def _sides(text: str) -> list[str]:
    return [side for side in re.split(r"&?=|\\implies|\\Rightarrow|\\approx", text) if side.strip(" $&{}\\")]


def _equal_value(change: Change) -> bool:
    if re.search(r"\\text|or|and|maybe", change.inserted):
        return False
    return second_opinion(gold=change.pair.answer, answer=change.text) is True or (
        second_opinion(gold=change.pair.gold, answer=change.text) is True
    )


def _true_chain(change: Change) -> bool:
    """Each link of the changed chain holds, and its last side is the gold."""
    sides = _sides(change.text)
    if len(sides) < 2 or re.search(r"\\text|or|and|maybe", change.inserted):
        return False
    links = zip(sides, sides[1:], strict=False)
    unread = sides[0] == _sides(change.pair.answer)[0]
    held = [second_opinion(gold=left, answer=right) for left, right in links]
    if unread and held[0] is None:
        held = held[1:]
    return all(held) and second_opinion(gold=change.pair.gold, answer=sides[-1]) is True


def _unit(change: Change) -> bool:
    """A unit, a percent sign or a currency beside a complete number, where the gold has none."""
    token = change.inserted or change.deleted
    if not re.fullmatch(r"\\text\{ (?:cm|squared|million) \}|\\?%|\\\$|A|\\circ ", token) and change.inserted:
        return False
    sides = [_UNITS.sub("", bare(text)) for text in (change.text, change.pair.answer)]
    return sides[0] == sides[1]


_UNITS = re.compile(r"cm|squared|\\?%|\\\$|(?<=\d)A|\^?\\circ|\u00b0|percent|dollars?|cents?")


def _choice_text(change: Change) -> bool:
    gold = _LETTER_GOLD.fullmatch(change.pair.gold.strip("$ "))
    return gold is not None and re.search(rf"(?<![A-Za-z\\]){gold[1]}(?![A-Za-z])", change.before) is not None


@dataclass(frozen=True)
class Rule:
    """Words of the policy, and whether the change belongs to them."""

    row: str
    covers: Callable[[Change], bool]


RULES = (
    Rule("*Layout* (`rewards/comparison/spellings.py`) prints nothing", _layout),
    Rule("leading zeros and a plus sign", _zeros),
    Rule("leading zeros and a plus sign", _without(r"(?<![\d.A-Za-z)}])\+|(?<=\^)\+")),
    Rule("a sign of equality or approximation in front", _without(r"^(?:=|\\approx)+")),
    Rule("expressions: symbolically equal", _equal_value),
    Rule("the name is free where the gold has none", _in_name),
    Rule("true chain: the last side is graded", _true_chain),
    Rule("units: may be left out", _unit),
    Rule("the text beside a choice letter is free", _choice_text),
    Rule("text: case and wrapper do not count", _without(r"(?<=[A-Za-z])[.,;:!'\-]|[.,;:!'\-](?=[A-Za-z])")),
    Rule("bare list: any order, repetitions do not count", _without(r"[,;]|or|and")),
    Rule("alignment", _without(r"&(?==)")),
)


def row_for(change: Change) -> str:
    """The row of the policy that covers a change, or an empty string."""
    return next((rule.row for rule in RULES if rule.covers(change)), "")
