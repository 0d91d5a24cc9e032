"""Values of configuration keys: read from YAML by the type of the key, so that ``no`` is a word where words belong.

YAML 1.1 reads ``no`` as false, ``007`` as 7 and ``1e-6`` as text. Here only YAML's structure is used, and the type of
a key decides how its text is read.
"""

from __future__ import annotations

import json
import math
import re
import types
import typing
from collections.abc import Iterator
from enum import Enum
from typing import Any

import yaml

from judgerlvr.config.documents import TooLarge, compose
from judgerlvr.config.domains import printable

# Python raises for numbers of over 4,300 digits, so the pattern bounds the digits.
WHOLE = re.compile(r"[+-]?\d{1,30}")
REAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
SWITCH = {"true": True, "false": False}
NOTHING = ("null", "Null", "NULL", "~")
SHOWN = 60


class BadValue(ValueError):
    """A value that is not of the key's type. The two arguments are the problem and the remedy."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem, self.remedy = problem, remedy


def shown(value: Any) -> str:
    """A value for an error message, cut to a readable length without line breaks."""
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def from_text(text: str, kind: Any) -> Any:
    """The value of an override. Only lists, mappings and quoted words are read as YAML.

    Raises:
        BadValue: not of the type.
    """
    structured = typing.get_origin(kind) in (list, dict)
    if not structured and not text.lstrip().startswith(("'", '"')):
        return _scalar(text, kind)
    try:
        node = compose(text)
    except TooLarge as error:
        raise BadValue(f"{shown(text)}: {error}", "write a flatter value") from error
    except yaml.YAMLError as error:
        raise BadValue(f"{shown(text)} is not YAML", "close every bracket and quote") from error
    return from_node(node, kind) if node is not None else from_node(yaml.ScalarNode("", "", style=None), kind)


def from_node(node: yaml.Node, kind: Any) -> Any:
    """The value of a YAML node, read by the type of the key.

    Raises:
        BadValue: not of the type.
    """
    origin = typing.get_origin(kind)
    if origin is list:
        return _listing(node, typing.get_args(kind)[0])
    if origin is dict:
        return _mapping(node, typing.get_args(kind)[1])
    if not isinstance(node, yaml.ScalarNode):
        raise BadValue("a list or a mapping where one value belongs", "give one value")
    # A quoted word has a style and stays a word.
    if node.style is None and node.value in NOTHING:
        raise BadValue("has no value", "leave the key out for its default")
    return _scalar(node.value, kind)


def _listing(node: yaml.Node, kind: Any) -> list[Any]:
    if not isinstance(node, yaml.SequenceNode):
        raise BadValue("not a list", "write [first, second]")
    if not all(isinstance(entry, yaml.ScalarNode) for entry in node.value):
        raise BadValue("a list inside a list", "write [first, second]")
    return [_scalar(entry.value, kind) for entry in node.value]


def _mapping(node: yaml.Node, kind: Any) -> dict[str, Any]:
    if not isinstance(node, yaml.MappingNode):
        raise BadValue("not a mapping", "write {name: value}")
    return {name: open_value(value) if kind is Any else from_node(value, kind) for name, value in _entries(node)}


def _entries(node: yaml.MappingNode) -> Iterator[tuple[str, yaml.Node]]:
    """Names and values of a mapping. Raises BadValue as soon as a name is wrong."""
    seen: set[str] = set()
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.value in seen:
            raise BadValue("a name that is no word, or that stands twice", "write each name once")
        # YAML reads {mode:0} as the name "mode:0" without a value.
        name, colon, rest = key.value.partition(":")
        if colon and isinstance(value, yaml.ScalarNode) and not value.value and value.style is None:
            raise BadValue(f"no space after the colon of {shown(key.value)}", f"write {{{name}: {rest.strip()}}}")
        seen.add(key.value)
        yield key.value, value


def open_value(node: yaml.Node, depth: int = 0) -> Any:
    """A value whose type nobody declared: JSON's scalars, else text, in lists and mappings.

    Raises:
        BadValue: nested too deeply, as a node within the same node is.
    """
    if depth > SHOWN:
        raise BadValue("nested too deeply", "write a flatter value")
    if isinstance(node, yaml.SequenceNode):
        return [open_value(entry, depth + 1) for entry in node.value]
    if isinstance(node, yaml.MappingNode):
        return {name: open_value(value, depth + 1) for name, value in _entries(node)}
    return _undeclared(node.value) if node.style is None else _text(node.value)


def _undeclared(text: str) -> Any:
    if text.lower() in SWITCH:
        return SWITCH[text.lower()]
    if text in NOTHING:
        return None
    try:
        value = json.loads(text)
    # json.loads raises a plain ValueError for a number with too many digits.
    except (json.JSONDecodeError, ValueError, RecursionError):
        return _text(text)
    # json.loads reads NaN and Infinity, and reads 1e999 as infinity.
    if isinstance(value, float) and not math.isfinite(value):
        raise BadValue(f"{text} is not finite", "give a finite number")
    return value


def _scalar(text: str, kind: Any) -> Any:
    if isinstance(kind, types.UnionType):
        # The only union of the schema is a number or a word.
        return int(text) if WHOLE.fullmatch(text.strip()) else _text(text)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _member(text.strip(), kind)
    if kind is Any:
        return _undeclared(text)
    return {str: _text, bool: _switch, int: _whole, float: _real}[kind](text)


def _text(text: str) -> str:
    if not printable(text):
        raise BadValue(f"{shown(text)} holds control characters", "write plain text")
    return text


def _member(text: str, kind: type[Enum]) -> Any:
    if text not in kind.__members__:
        raise BadValue(f"{shown(text)} is none of the choices", f"use one of: {', '.join(kind.__members__)}")
    return kind[text]


def _switch(text: str) -> bool:
    value = SWITCH.get(text.strip().lower())
    if value is None:
        raise BadValue(f"{shown(text)} is neither true nor false", "write true or false")
    return value


def _whole(text: str) -> int:
    if not WHOLE.fullmatch(text.strip()):
        raise BadValue(f"{shown(text)} is not a whole number", "write digits, e.g. 32")
    return int(text)


def _real(text: str) -> float:
    if not REAL.fullmatch(text.strip()) or not math.isfinite(float(text)):
        raise BadValue(f"{shown(text)} is not a finite number", "write a number, e.g. 0.5 or 1e-6")
    return float(text)
