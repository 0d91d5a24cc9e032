"""Answers in words, choice letters, and the names before an equals sign."""

from __future__ import annotations

import re

from rewards.comparison.refute import surely_different

_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}")
# A space beside a sign, but not the one that makes "1, 234" two numbers.
_IDLE_SPACE = re.compile(r" (?![\w\\.])|(?<![\w.,]) |(?<=,) (?![0-9]{3}(?![0-9]))")
_WORDS = re.compile(r"[^\W\d_]+(?:(?:[\s'’.,]+|-)[^\W\d_]+)*[.!]?")
_LETTERS = re.compile(r"[A-Za-z](?:\s*(?:,\s*and|,|and)\s*[A-Za-z])+")
_ARTICLE = re.compile(r"^(?:the|an|a)\s+", re.IGNORECASE)
_CHOICE = re.compile(r"\(?([A-Za-z])\)?[.:]?")
_CHOICE_WITH_TEXT = re.compile(r"\(([A-Z])\)(?P<rest>.*)", re.DOTALL)
_SHORTEST_WORD = 4
_SHORT_WORDS = {"yes", "no", "odd", "one", "two", "six", "ten", "red", "mon", "tue", "sun", "all"}

# A name: one symbol with subscript, primes or arguments, a segment or an angle; no arithmetic, no bare digits.
_SYMBOL = r"(?:\\(?!frac|sqrt|text|d?frac|int|sum)[A-Za-z]+|[A-Za-z]+)"
_EQUALS = re.compile(r"(?<![<>!:\\])=(?!=)")
_NAME = re.compile(
    rf"\(\s*{_SYMBOL}(?:\s*,\s*{_SYMBOL})+\s*\)|(?:\\(?:angle|triangle|overline|mathrm|text|operatorname)\s*)?[{{|]?\s*{_SYMBOL}(?:\s+{_SYMBOL})?"
    r"(?:_(?:\{[^{}]*\}|\w))?'*\s*(?:\([^()=]{1,12}\))?(?:\s*:\s*[A-Za-z])?\s*[}|]?"
)


def unwrapped(text: str) -> str:
    """Cleaned text without its text commands and without the spaces that separate nothing."""
    return _IDLE_SPACE.sub("", " ".join(_TEXT_COMMAND.sub(r"\1", text).split()))


def as_words(text: str) -> str | None:
    """Case-folded words if cleaned text is an answer in words, else None (a short run of letters is a product)."""
    bare = _TEXT_COMMAND.sub(r" \1 ", text).strip()
    wrapped = bare != text.strip() or " " in bare
    if _LETTERS.fullmatch(bare):  # several choices, in any order
        return " ".join(sorted(re.findall(r"\b[A-Za-z]\b", bare)))
    if not _WORDS.fullmatch(bare) or max(map(len, re.findall(r"\w+", bare))) < 2:
        return None
    if len(bare) < _SHORTEST_WORD and bare.casefold() not in _SHORT_WORDS and not (wrapped and len(bare) > 1):
        return None
    return _ARTICLE.sub("", " ".join(re.findall(r"\w+", bare.casefold())))


def choice_letter(text: str) -> str | None:
    """``B``, ``(B)``, ``B.``, or ``(B)`` followed by that choice's text; None if a second letter is offered."""
    bare = _TEXT_COMMAND.sub(r"\1", text).strip()
    if match := _CHOICE.fullmatch(bare):
        return match[1]
    if (match := _CHOICE_WITH_TEXT.fullmatch(bare)) and not re.search(r"\([A-Za-z]\)|\b(?:or|and)\b", match["rest"]):
        return match[1]
    return None


def split_name(text: str) -> tuple[str, str]:
    """``("x", "7")`` for ``x = 7`` and for the chain ``x = 3 + 4 = 7``; the name is empty where there is none.

    ``n = 1, 2`` names a list; ``x = 1, y = 2`` is several equations and has no one name.
    """
    name, *values = _EQUALS.split(text)
    if not values or not _NAME.fullmatch(name.strip()) or not _one_claim(values):
        return "", text
    return re.sub(r"[\s{}]", "", name), values[-1].strip()


def _one_claim(values: list[str]) -> bool:
    """Whether the right sides of a chain can all be the same ("x = 8 = 7" is two claims)."""
    if len(values) > 1 and _several(values):
        return False
    return not any(surely_different(values[-1].strip(), value.strip()) for value in values[:-1])


def _several(values: list[str]) -> bool:
    return any("," in value or ";" in value or "text" in value for value in values)


def false_equation(text: str) -> bool:
    """Whether an equation claims more than a value: "8 = 7", "x + 1 = 7", "x = 8 = 7"."""
    name, *values = _EQUALS.split(text)
    if not values or _several(values):
        return False
    return not _NAME.fullmatch(name.strip()) or not _one_claim(values)
