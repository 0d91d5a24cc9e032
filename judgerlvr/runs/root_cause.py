"""The error inside an error of hydra, which builds verl's configuration objects."""

from __future__ import annotations

import ast
import re

WRAPPER = "InstantiationException"
# The wrapper's second line is the repr of the error inside.
INSIDE = re.compile(r"^([\w.]+)\((.*)\)$")


def inner_error(kind: str, message: str) -> str | None:
    """``Kind: message`` of the error that hydra wrapped, None for another error.

    ``kind`` is the class's name and ``message`` its text. A wrapped wrapper is unpacked too.
    """
    if kind != WRAPPER:
        return None
    for line in message.splitlines():
        if match := INSIDE.match(line.strip()):
            inner = _text(match[2])
            return inner_error(match[1], inner) or f"{match[1]}: {' '.join(inner.split())}"
    return None


def _text(arguments: str) -> str:
    """The first argument of a repr where it is a text, else all arguments as they stand."""
    try:
        first = ast.literal_eval(f"({arguments},)")[0]
    except (ValueError, SyntaxError, IndexError):
        return arguments
    return first if isinstance(first, str) else arguments
