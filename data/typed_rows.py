"""Values of plain data from a file against the types that the values must have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

Types = Mapping[str, tuple[type, ...]]


@cache
def field_types(row: type[Any]) -> dict[str, tuple[type, ...]]:
    """The types of each field of a flat dataclass. JSON may write a whole number for a float."""
    hints = get_type_hints(row)
    kinds = {wanted.name: get_args(hints[wanted.name]) or (hints[wanted.name],) for wanted in fields(row)}
    return {name: (*types, int) if float in types else types for name, types in kinds.items()}


def field_fault(values: Mapping[str, Any], types: Types) -> tuple[str, str] | None:
    """(field, fault) of the first field that is missing or has a value of another type. None where all are right."""
    for name, kinds in types.items():
        if name not in values:
            return name, "missing"
        # A bool is an int for Python, and no number in a file.
        if type(values[name]) not in kinds:
            return name, f"{type(values[name]).__name__} value"
    return None


def record_fault(values: Any, record: type[Any]) -> tuple[str, str] | None:
    """(field, fault) of the first field of a dataclass that the keys of a file cannot give. None where all can.

    Fields may hold further dataclasses, mappings, lists, literals and unions of these. A key that is left out must
    have a default.
    """
    if not isinstance(values, Mapping):
        return "", f"{type(values).__name__} value"
    hints = get_type_hints(record)
    for wanted in fields(record):
        if wanted.name in values:
            if not fits(values[wanted.name], hints[wanted.name]):
                return wanted.name, f"{_shown(values[wanted.name])} is of another type"
        elif wanted.default is wanted.default_factory:
            # Both are the marker of a missing default.
            return wanted.name, "missing"
    return None


def fits(value: Any, hint: Any) -> bool:
    """Whether a value from a JSON file is of the type that an annotation names."""
    kind, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if kind is Literal:
        return value in inner and type(value) in {type(one) for one in inner}
    if is_dataclass(hint) and isinstance(hint, type):
        return record_fault(value, hint) is None
    if isinstance(kind, type) and issubclass(kind, Mapping):
        return isinstance(value, Mapping) and all(
            fits(key, inner[0]) and fits(one, inner[1]) for key, one in value.items()
        )
    if isinstance(kind, type) and issubclass(kind, list):
        return isinstance(value, list) and all(fits(one, inner[0]) for one in value)
    if inner:
        return any(fits(value, one) for one in inner)
    return _is_plain(value, hint)


def _is_plain(value: Any, kind: type) -> bool:
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    # A bool is an int for Python, and no number in a file.
    return type(value) is kind


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
