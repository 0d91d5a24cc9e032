"""Fields of a configuration with their documentation and their domain beside them."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from judgerlvr.config.domains import PATH, PATHS, Domain


def doc(default: Any, text: str, domain: Domain | None = None, **facts: bool) -> Any:
    """A field with its help text and its domain. Mutable defaults are copied for each instance.

    The type alone is the domain of switches, choices and open mappings. ``facts`` are read by ``load``.
    """
    metadata = {"help": text, "domain": domain} | facts
    # dataclasses refuse a mutable default.
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def path_key(default: Any, text: str) -> Any:
    """A field that holds a path or a list of paths. ``load_config`` makes each path absolute."""
    return doc(default, text, PATHS if isinstance(default, list) else PATH, path=True)


def run_key(default: Any, text: str) -> Any:
    """As ``path_key``, for what runs write: looked for where the command is given, and never in the checkout."""
    return doc(default, text, PATHS if isinstance(default, list) else PATH, path=True, written=True)


def data_key(default: Any, text: str) -> Any:
    """A field of sources of rows: paths, globs, or names of data sets on the hub."""
    metadata = {"help": text, "path": True, "hub": True, "domain": PATHS}
    return field(default_factory=lambda: list(default), metadata=metadata)


def section(kind: type) -> Any:
    return field(default_factory=kind)
