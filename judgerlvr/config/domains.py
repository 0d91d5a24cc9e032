"""Domains: the values that a configuration key may take, declared beside the key's documentation."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Protocol

# Categories of characters that no name, path or word holds: control characters and lone surrogates.
UNPRINTABLE = ("Cc", "Cs")
# Names of files hold at most this many bytes.
LONGEST_NAME = 200


class Domain(Protocol):
    """Values that a key may take."""

    @property
    def says(self) -> str:
        """The domain as the end of the sentence "give ..."."""
        ...

    def allows(self, value: Any) -> bool:
        """Whether a value of the key's type lies in the domain."""
        ...


@dataclass(frozen=True)
class Range:
    """Numbers between two bounds. ``least`` and ``most`` are allowed, ``above`` and ``below`` are not."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    @property
    def says(self) -> str:
        bounds = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        return "a number " + " and ".join(f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None)

    def allows(self, value: Any) -> bool:
        # Written so that NaN is refused.
        return (
            (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )


@dataclass(frozen=True)
class Choice:
    """A word of a list."""

    words: tuple[str, ...]

    @property
    def says(self) -> str:
        return f"one of {', '.join(self.words)}"

    def allows(self, value: Any) -> bool:
        return value in self.words


@dataclass(frozen=True)
class Pattern:
    """Text of a form. The form must match the whole text."""

    form: str
    says: str

    def allows(self, value: Any) -> bool:
        return bool(re.fullmatch(self.form, value)) and printable(value)


@dataclass(frozen=True)
class Text:
    """Any text without control characters, such as a path."""

    says: str = "text without control characters"
    empty: bool = True

    def allows(self, value: Any) -> bool:
        return printable(value) and (self.empty or bool(value.strip()))


@dataclass(frozen=True)
class FolderName:
    """The name of a folder without separators, so that the folder stays in its parent. Empty is allowed."""

    says: str = "one folder name, without / and \\, or nothing"

    def allows(self, value: Any) -> bool:
        # A leading dash would make the name an option on a command line.
        inside = not re.search(r"[/\\]", value) and value not in (".", "..") and not value.startswith("-")
        return inside and value == value.strip() and printable(value) and len(value.encode()) <= LONGEST_NAME


@dataclass(frozen=True)
class Either:
    """A number of a range, or a fixed word."""

    number: Range
    word: str

    @property
    def says(self) -> str:
        return f"{self.number.says}, or {self.word}"

    def allows(self, value: Any) -> bool:
        return value == self.word if isinstance(value, str) else self.number.allows(value)


@dataclass(frozen=True)
class Items:
    """A list whose entries share a domain. ``count`` is the exact length where given."""

    each: Domain
    count: int | None = None

    @property
    def says(self) -> str:
        return f"a list{'' if self.count is None else f' of {self.count}'}, each entry {self.each.says}"

    def allows(self, value: Any) -> bool:
        right_length = self.count is None or len(value) == self.count
        return right_length and all(self.each.allows(entry) for entry in value)


def printable(text: str) -> bool:
    """Whether a text is free of control characters and lone surrogates."""
    return not any(unicodedata.category(character) in UNPRINTABLE for character in text)


# Bounds that several keys share. Seeds are 31-bit numbers in the engines.
MOST = 10**9
SEED = Range(least=0, most=2**31 - 1)
COUNT = Range(least=1, most=MOST)
# A generator takes a minute for so many problems of the tiny world, and each must differ.
TINY = Range(least=1, most=100_000)
COUNT_OR_OFF = Range(least=0, most=MOST)
TOKENS_OR_OFF = Range(least=0, most=10**15)
SHARE = Range(least=0, most=1)
POSITIVE = Range(above=0, most=1e6)
NOT_NEGATIVE = Range(least=0, most=1e6)
PATH = Text("a path without control characters", empty=False)
PATHS = Items(PATH)
