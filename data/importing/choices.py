"""Multiple choice: the options are shown with letters, and the gold answer is a letter."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from data.importing.faults import RowFault
from data.importing.golds import parse_text
from data.importing.layouts import CHOICE_INDEX

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


def option_columns(row: Mapping[str, Any], gold: Any) -> list[str]:
    """Columns that hold an option each, such as A, B, C, D or ``option_a`` and ``option_b``. Empty without such.

    A letter alone may be anything, so that such columns need three, and a gold among letters or texts.
    """
    for form in ("option_{}", "option{}", "choice_{}", "choice{}", "op{}", "{}"):
        for names in (string.ascii_lowercase, "123456789"):
            found = list(takewhile(lambda name: not _empty(row.get(name)), map(form.format, names)))
            if len(found) < 2 or (form == "{}" and names.isdigit()):
                continue
            given = {str(row[name]).strip().upper() for name in found} | {name.upper() for name in found}
            if form != "{}" or (len(found) > 2 and str(gold).strip().upper() in given):
                return found
    return []


def _empty(value: Any) -> bool:
    return value is None or value == "" or not isinstance(value, str | int | float)


def _without_prefixes(texts: list[str]) -> list[str]:
    """The texts without the letters that the file writes in front, where all options have their letter."""
    matches = [_PREFIX.match(text) for text in texts]
    letters = [match and (match[1] or match[2]) for match in matches]
    if letters != list(string.ascii_uppercase[: len(texts)]):
        return texts
    return [text[match.end() :] for text, match in zip(texts, matches, strict=True) if match]


def with_choices(text: str, choices: Choices) -> str:
    """The problem with its options below. A text that already shows every option behind its letter stays as it is."""
    if len(choices.texts) == 1 or _shows(text, choices):
        return text
    return f"{text.rstrip()}\n\n{choices.shown()}"


def _shows(text: str, choices: Choices) -> bool:
    """Whether the letters and options stand in the text, one behind the other. Options alone may be words of it."""
    marked = zip(choices.letters, choices.texts, strict=True)
    parts = (rf"\(?\b(?i:{letter})\s*[).:\]]\W*?{re.escape(option.strip())}" for letter, option in marked)
    return re.search(".*?".join(parts), text, re.DOTALL) is not None


def gold_of(value: Any, choices: Choices, field: str) -> str:
    """The letter of the right option. The file names the option by index from 0, label, letter or text.

    A single option is itself the gold answer.

    Raises:
        RowFault: the value names no option, or an option by its text and another option by its index.
    """
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    # pandas keeps whole numbers as floats where a column has gaps.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    index = _index(value, choices, field)
    if index is None or not 0 <= index < len(choices.texts):
        problem = f"{value!r} names none of {len(choices.texts)} options"
        raise RowFault(problem, "give the index from 0, the letter or the text of the right option", field)
    return choices.texts[0] if len(choices.texts) == 1 else choices.letters[index]


def _index(value: Any, choices: Choices, field: str) -> int | None:
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
    index = int(text) if text.isdecimal() else None
    if index is not None and field in CHOICE_INDEX:
        return index
    matches = [at for at, option in enumerate(choices.texts) if option.strip() == text]
    # A table of text writes the index 1 as the option "1" would be written.
    if matches and index is not None and index < len(choices.texts) and matches != [index]:
        problem = f"{text!r} is the text of option {choices.letters[matches[0]]} and the index of option "
        raise RowFault(problem + choices.letters[index], "give the letter of the right option", field)
    # Two options with the same text name no option.
    return matches[0] if len(matches) == 1 else index
