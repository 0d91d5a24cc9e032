"""A second opinion on an answer, by another road: text, then floating-point values at fixed points; no engine."""

from __future__ import annotations

import re

from rewards.auditing import floating_point as numeric

_DROPPED = re.compile(
    r"\\(?:left|right|displaystyle|,|;|!|:|quad|qquad)(?![A-Za-z])\.?|\\ |\\?\$|percent(?:age)?|pct"
    r"|(?<=\d)\s*\\?%|\^\{?\\circ\}?"
    r"|\\(?:text|mathrm|mbox|textbf)\s*\{[^{}]*\}"
)
_WORDS = re.compile(r"\\(?:text|mathrm|mbox|textbf)\s*\{([^{}]*)\}")
_GROUPS = re.compile(r"(?<![\d.,])(\d{1,3}(?:,\d{3})+)(?![\d,])")
_MIXED = re.compile(r"(?<![\d.}])(\d+)\s*(?=\\frac\s*\{\d+\}\s*\{\d+\})")
_PROSE = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")
_NAME = re.compile(r"^\s*\\?[A-Za-z]+(?:_\w|_\{\w+\})?(?:\(\w\))?\s*(?:=|\\in\b)")
# Words that deny, hedge, compute or count. Their list is this grader's own.
_CHANGING = frozenset(
    [
        "not",
        "no",
        "never",
        "isn",
        "wrong",
        "incorrect",
        "false",
        "nope",
        "or",
        "maybe",
        "perhaps",
        "alternatively",
        "minus",
        "plus",
        "times",
        "divided",
        "squared",
        "cubed",
        "doubled",
        "half",
        "halves",
        "quarter",
        "quarters",
        "third",
        "fourth",
        "fifth",
        "tenth",
        "dozen",
        "hundred",
        "thousand",
        "million",
        "billion",
        "lakh",
        "crore",
        "inverse",
        "reciprocal",
        "kidding",
        "except",
        "unless",
        "less",
        "more",
        "factorial",
        "mod",
        "base",
        "negative",
        "am",
        "pm",
    ]
)
_ORDINAL = ("thirds", "fifths", "ths", "fold")
_UNITS = frozenset(
    [
        "cm",
        "mm",
        "km",
        "m",
        "ft",
        "in",
        "inches",
        "miles",
        "feet",
        "meters",
        "kg",
        "g",
        "mg",
        "s",
        "h",
        "hours",
        "minutes",
        "am",
        "pm",
        "mw",
        "kw",
    ]
)
# Away from 0 and 1, where different expressions often agree.
_POINTS = (1.37, 2.91, 0.618)
_TOLERANCE = 1e-6
_LONGEST = 2000


def second_opinion(*, gold: str, answer: str) -> bool | None:
    """Whether ``answer`` equals ``gold``; None where this grader can read one of them not at all."""
    if len(answer) > _LONGEST or len(gold) > _LONGEST:
        return None
    if (by_words := _words_opinion(gold, answer)) is not None:
        return by_words
    first, second = _plain(gold), _plain(answer)
    if not first or not second:
        words = _words(gold), _words(answer)
        return words[0] == words[1] if all(words) else None
    if first.replace(" ", "") == second.replace(" ", ""):
        return True
    left, right = _members(first), _members(second)
    if left is None or right is None:
        return None
    brackets = first[:1] + first[-1:], second[:1] + second[-1:]
    if all(pair[:1] in ("(", "[") for pair in brackets):
        return brackets[0] == brackets[1] and len(left) == len(right) and all(map(_near, left, right))
    return _within(left, right) and _within(right, left)


def _words_opinion(gold: str, answer: str) -> bool | None:
    """False where the words beside the numbers differ in a way that changes the answer, else None (no opinion)."""
    wanted, given = _said(gold), _said(answer)
    extra = given - wanted
    if extra & _CHANGING or any(word.endswith(_ORDINAL) for word in extra):
        return False
    units = wanted & _UNITS, given & _UNITS
    return False if all(units) and units[0] != units[1] and len(units[0] ^ units[1]) > 1 else None


def _said(text: str) -> set[str]:
    """Folded words in text commands."""
    return {word for words in _WORDS.findall(text) for word in re.findall(r"[a-z]+", words.casefold())}


def _within(members: list[list[complex]], others: list[list[complex]]) -> bool:
    return all(any(_near(member, other) for other in others) for member in members)


def _plain(text: str) -> str:
    text = re.sub(r"\\[dtc]frac", r"\\frac", text).replace("{,}", ",")
    text = _DROPPED.sub(" ", _NAME.sub("", text))
    text = _GROUPS.sub(lambda group: group[1].replace(",", ""), text)
    return _MIXED.sub(r"\1+", text).lstrip(" ,;").rstrip(" .;,")


def _words(text: str) -> str:
    return " ".join(re.findall(r"[a-z]+", _WORDS.sub(r"\1", text).casefold()))


def _members(text: str) -> list[list[complex]] | None:
    """Values of each top-level member at all points, or None."""
    inner = text[1:-1] if text[:1] in ("(", "[") and text[-1:] in (")", "]") and "," in text else text
    inner = re.sub(r"^\\\{|\\\}$", "", inner)
    # Prose would be read as a product of letters.
    if _PROSE.search(inner):
        return None
    names = numeric.letters(inner)
    members = []
    for item in re.split(r"[,;]", inner):
        values = []
        for point in _POINTS:
            try:
                # Each letter has another value, else x - y would be 0.
                values.append(numeric.value(item, {name: point + ord(name) / 50 for name in names}))
            except numeric.CannotRead:
                return None
        members.append(values)
    return members


def _near(first: list[complex], second: list[complex]) -> bool:
    return all(abs(a - b) <= _TOLERANCE * max(abs(a), abs(b)) for a, b in zip(first, second, strict=True))
