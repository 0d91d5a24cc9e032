"""A place in a list of items, and what every reader of scalars does with the place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from rewards.comparison.items import Item
from rewards.comparison.tree import Scalar, Uncovered


class Cursor(ABC):
    """Items and the position of the next one. The abstract methods are the levels of the grammar."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items
        self._at = 0
        self._depth = 0
        self._bars = 0
        self._integrals = 0

    def peek(self) -> Item | None:
        return self._items[self._at] if self._at < len(self._items) else None

    def value(self, ahead: int = 0) -> str:
        """Spelling of the item ``ahead`` of here; words and letters are not mistaken for signs."""
        at = self._at + ahead
        return self._items[at].value if at < len(self._items) else ""

    def _take(self) -> Item:
        item = self.peek()
        if item is None:
            raise Uncovered("end")
        self._at += 1
        return item

    def _accept(self, *values: str) -> bool:
        item = self.peek()
        if item is not None and item.is_(*values):
            self._at += 1
            return True
        return False

    def _expect(self, value: str) -> None:
        if not self._accept(value):
            raise Uncovered(self.value())

    @abstractmethod
    def sum(self) -> Scalar:
        """Terms and signs between them."""

    @abstractmethod
    def _product(self) -> Scalar: ...

    @abstractmethod
    def _signed(self) -> Scalar: ...

    @abstractmethod
    def _power(self) -> Scalar: ...

    @abstractmethod
    def _argument(self, *, sign: bool = False) -> Scalar: ...

    @abstractmethod
    def _group(self, opening: str) -> Scalar: ...

    @abstractmethod
    def _fraction(self) -> Scalar: ...

    @abstractmethod
    def _root(self) -> Scalar: ...

    @abstractmethod
    def _begins_factor(self) -> bool: ...

    @abstractmethod
    def _degree_follows(self) -> bool: ...
