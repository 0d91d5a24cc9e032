"""Multiple choice: the options are shown with letters, and the gold answer is a letter."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data.importing.faults import RowFault
from data.importing.golds import parse_text

_PREFIX = re.compile(r"\s*(?:\(([A-Z])\)|([A-Z])[.):])\s*")


@dataclass(frozen=True)
class Choices:
    """Texts of the options in order, and the labels that the file gives to the options."""

    texts: list[str]
    labels: list[str]

    @property
    def letters(self) -> list[str]:
        return list(string.ascii_uppercase[: len(self.texts)])

    def shown(self) -> str:
        return "\n".join(f"{letter}. {text}" for letter, text in zip(self.letters, self.texts, strict=True))


def read_choices(value: Any, field: str) -> Choices:
    """Options from a list, from ``{"text": [...], "label": [...]}``, or from ``{"A": ..., "B": ...}``.

    Raises:
        RowFault: fewer than one or more than 26 options, or options that are no text.
    """
    value = parse_text(value) if isinstance(value, str) else value
    labels: list[str] = []
    # ARC and CommonsenseQA keep options as parallel lists of texts and labels.
    if isinstance(value, Mapping) and "text" in value:
        labels, value = [str(label) for label in value.get("label") or ()], value["text"]
    elif isinstance(value, Mapping):
        labels, value = [str(label) for label in value], list(value.values())
    if not isinstance(value, list) or not 1 <= len(value) <= 26:
        raise RowFault("options are not a list of 1 to 26 texts", "write a list", field)
    if any(isinstance(text, Mapping | list) or text is None for text in value):
        raise RowFault("options are no texts", "write a list of texts", field)
    return Choices(_without_prefixes([str(text) for text in value]), labels)


def _without_prefixes(texts: list[str]) -> list[str]:
    """The texts without the letters that the file writes in front, where all options have their letter."""
    matches = [_PREFIX.match(text) for text in texts]
    letters = [match and (match[1] or match[2]) for match in matches]
    if letters != list(string.ascii_uppercase[: len(texts)]):
        return texts
    return [text[match.end() :] for text, match in zip(texts, matches, strict=True) if match]


def with_choices(text: str, choices: Choices) -> str:
    """The problem with its options below. A text that already holds every option stays as the text is."""
    if len(choices.texts) == 1 or all(option.strip() in text for option in choices.texts):
        return text
    return f"{text.rstrip()}\n\n{choices.shown()}"


def gold_of(value: Any, choices: Choices, field: str) -> str:
    """The letter of the right option. The file names the option by index from 0, label, letter or text.

    A single option is itself the gold answer.

    Raises:
        RowFault: the value names no option.
    """
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    # pandas keeps whole numbers as floats where a column has gaps.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    index = _index(value, choices)
    if index is None or not 0 <= index < len(choices.texts):
        problem = f"{value!r} names none of {len(choices.texts)} options"
        raise RowFault(problem, "give the index from 0, the letter or the text of the right option", field)
    return choices.texts[0] if len(choices.texts) == 1 else choices.letters[index]


def _index(value: Any, choices: Choices) -> int | None:
    # To Python True is the integer 1.
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = str(value).strip()
    # Labels of the file come before the index, since files label options 1 to 4 too.
    if text in choices.labels:
        return choices.labels.index(text)
    bare = text.strip("().:").upper()
    if bare in choices.letters:
        return choices.letters.index(bare)
    matches = [index for index, option in enumerate(choices.texts) if option.strip() == text]
    # Two options with the same text name no option.
    if len(matches) == 1:
        return matches[0]
    # Digits are an index last of all, because an option may itself be a number.
    return int(text) if text.isdigit() else None
