"""Words of messages that hang on a number."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """The number with its noun: 1 row, 2 rows, 0 rows."""
    return f"{number} {noun if number == 1 else noun + 's'}"


def agreeing(number: int, one: str, several: str) -> str:
    """The form of a word that agrees with the number: 1 is, 2 are."""
    return one if number == 1 else several
