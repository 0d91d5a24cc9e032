"""Coarse tokens for the comparison of texts. Spelling, LaTeX, Unicode forms and number words fall together.

The tokens serve decontamination and near-duplicates alone. Identity is finer (``data.identity``).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*\{[^{}]*\}(?:\s*\{[clr|@\s]*\})?")
_SEPARATOR = re.compile(r"(?<=\d)(?:,|\{,\}|\\,|\\!|\u2009|\u202f)(?=\d{3}(?!\d))")
_COMMAND = re.compile(r"\\[a-z]+|\\.")
_TOKEN = re.compile(r"[^\W\d_]+|\d+")
_TOKEN_OR_MARK = re.compile(r"[^\W\d_]+|\d+|[^\w\s-]")
_RAISED = re.compile(r"[\u00b2\u00b3\u00b9\u2070-\u209c]+|[\u00bc-\u00be\u2150-\u215e]")
# Text forms of what LaTeX writes as a command, and the other way round, so that both vanish.
_SYMBOLS = re.compile(r"[\u0370-\u03ff\u2100-\u214f\u2190-\u2bff\u00d7\u00f7\u00b0\u00b7\u00b1]")

_UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SMALL = {word: value for value, word in enumerate(_UNITS)}
_TEN = {word: 10 * value for value, word in enumerate(_TENS, start=2)}
_SCALES = {"thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
NUMBER_WORDS = frozenset((*_SMALL, *_TEN, *_SCALES, "hundred"))


def normalised_tokens(text: str) -> list[str]:
    """Lower-case words and numbers, without accents, LaTeX commands and symbols. Number words become digits."""
    # Unicode normalisation changes nothing in ASCII text.
    text = text.lower() if text.isascii() else _ascii_like(text)
    # Environments go first, since the pattern of commands would leave their names as words.
    text = _COMMAND.sub(" ; ", _SEPARATOR.sub("", _ENVIRONMENT.sub(" ", text)))
    tokens = _TOKEN.findall(text)
    # Texts without number words skip the slower pass.
    if NUMBER_WORDS.isdisjoint(tokens):
        return tokens
    # Marks keep two numbers in words apart.
    return [token for token in _with_digits(_TOKEN_OR_MARK.findall(text)) if token[0].isalnum()]


def _ascii_like(text: str) -> str:
    """Lower case without accents. Raised digits and fractions stand apart from what is before them."""
    # NFKD turns a raised 2 into a plain digit, so that x² would become the token x2.
    text = unicodedata.normalize("NFKD", _RAISED.sub(r" \g<0> ", _SYMBOLS.sub(" ; ", text))).lower()
    return "".join(char for char in text if not unicodedata.combining(char))


def _with_digits(tokens: Sequence[str]) -> Iterator[str]:
    place = 0
    while place < len(tokens):
        end = _number_end(tokens, place) if tokens[place] in NUMBER_WORDS else place
        if end == place:
            yield tokens[place]
            place += 1
        else:
            yield str(_value(tokens[place:end]))
            place = end


def _number_end(tokens: Sequence[str], start: int) -> int:
    """Where the number in words that starts at ``start`` ends. Two numbers side by side stay apart."""
    end, last = start, ""
    while end < len(tokens):
        word = tokens[end]
        # "and" belongs to a number only between two number words, as in "two hundred and five".
        joined = word == "and" and last in ("hundred", "thousand") and end + 1 < len(tokens)
        if joined and (tokens[end + 1] in _SMALL or tokens[end + 1] in _TEN):
            end, last = end + 1, "and"
        elif _follows(word, last):
            end, last = end + 1, word
        else:
            break
    return end


def _follows(word: str, last: str) -> bool:
    """Whether ``word`` can go on a number whose last word is ``last`` ("" at the start)."""
    if word in _SMALL:
        return last in ("", "and", "hundred", *_SCALES) or (last in _TEN and 0 < _SMALL[word] < 10)
    if word in _TEN:
        return last in ("", "and", "hundred", *_SCALES)
    if word == "hundred":
        return last in _SMALL
    return word in _SCALES and (last in _SMALL or last in _TEN or last == "hundred")


def _value(words: Sequence[str]) -> int:
    total = part = 0
    for word in words:
        if word == "hundred":
            part *= 100
        elif word in _SCALES:
            total, part = total + part * _SCALES[word], 0
        else:
            part += _SMALL.get(word, _TEN.get(word, 0))
    return total + part
