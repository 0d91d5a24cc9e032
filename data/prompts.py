"""Prompt templates: text files with ``{{field}}`` places, filled from an explicit list of fields."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from rewards.errors import InputError, bounded, reading

_PLACE = re.compile(r"\{\{(\w+)\}\}")
# Places and statements of other template languages. Left alone, these would reach the model as text.
_SPACED = re.compile(r"\{\{(?!\w+\}\})\s*(\w+)\s*\}\}")
_STATEMENT = re.compile(r"\{%-?\s*\w.*?%\}", re.DOTALL)

# Gold answer and label are absent on purpose: a template cannot leak what it is never given.
GENERATE_FIELDS = ("problem",)
JUDGE_FIELDS = ("problem", "response")


def load_template(path: str | Path, fields: Sequence[str]) -> str:
    """Read a template and check that it uses exactly ``fields``.

    Raises:
        InputError: the file is missing, names an unknown field, leaves a field out, writes a field with spaces, or
            holds a statement of another template language.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("no such prompt template", "give the path of a text file", file=path)
    with reading("not a text file", "convert the file to UTF-8", file=path):
        # Editors end a file with a line feed, which is no part of the prompt.
        text = path.read_text(encoding="utf-8").removesuffix("\n")
    if control := next((sign for sign in text if unicodedata.category(sign) == "Cc" and sign not in "\n\r\t"), ""):
        raise InputError(f"holds the control character {control!r}", "take it out of the template", file=path)
    if spaced := _SPACED.search(text):
        problem = f"{spaced.group(0)} has spaces inside the braces"
        raise InputError(problem, f"write e.g. {{{{{fields[0]}}}}}", file=path, field=spaced.group(1))
    if statement := _STATEMENT.search(text):
        raise InputError(f"{bounded(statement.group(0), 40)} is no place", "a template has {{...}} alone", file=path)
    used = set(_PLACE.findall(text))
    for name in sorted(used - set(fields)):
        raise InputError(f"unknown field {{{{{name}}}}}", f"use only {', '.join(fields)}", file=path, field=name)
    for name in fields:
        if name not in used:
            raise InputError(f"{{{{{name}}}}} does not occur", "add it to the template", file=path, field=name)
    return text


def render(template: str, values: Mapping[str, str]) -> str:
    """Fill every place in one pass, so that braces inside a value are left alone."""
    return _PLACE.sub(lambda place: values[place.group(1)], template)


def as_chat(prompt: str) -> list[dict[str, str]]:
    """One user turn in the chat form that verl and the tokenizer's template take."""
    return [{"role": "user", "content": prompt}]
