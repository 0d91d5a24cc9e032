"""Values of plain data from a file against the types that the values must have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, get_args, get_type_hints

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
