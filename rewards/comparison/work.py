"""A bound on the exact arithmetic of one comparison, so that the caller's process is never kept for long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rewards.comparison.numerals import TooLarge


class OutOfWork(TooLarge):
    """The budget of this comparison is spent."""


@dataclass
class Budget:
    """Products of terms that are left. ``exhausted`` stays set, whoever catches the exception."""

    left: int
    exhausted: bool = False


_current = threading.local()


@contextmanager
def budget(products: int) -> Iterator[Budget]:
    """Allow this many products of terms inside the block, in this thread."""
    # Blocks may nest, and the outer budget comes back.
    before = getattr(_current, "budget", None)
    _current.budget = Budget(products)
    try:
        yield _current.budget
    finally:
        _current.budget = before


def spend(products: int) -> None:
    """Take products from the budget of the block; free where no block is open.

    Raises:
        OutOfWork: fewer are left.
    """
    left: Budget | None = getattr(_current, "budget", None)
    if left is None:
        return
    left.left -= products
    if left.left < 0:
        left.exhausted = True
        raise OutOfWork("work")
