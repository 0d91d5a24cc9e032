"""A constant of a plan, with the source of its value."""

from __future__ import annotations

from typing import NamedTuple


class Constant(NamedTuple):
    """``value`` in the unit at the end of the name. ``source`` is measured, published, calculated or assumed."""

    value: float
    source: str
    condition: str
