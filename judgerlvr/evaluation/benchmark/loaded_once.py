"""Engines that keep their model from one task to the next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from judgerlvr.sampling.engines import Engines, Event, Lost, Started
from judgerlvr.sampling.requests import Request


class LoadedOnce:
    """Engines of one context length. A slot that has the wanted model is not started again.

    The engines that are wrapped end with their own context manager.
    """

    def __init__(self, engines: Engines, context: int) -> None:
        self._engines, self._context = engines, context
        self._models: dict[int, Path] = {}
        self._widths: dict[int, int] = {}
        self._events: list[Event] = []

    @property
    def count(self) -> int:
        return self._engines.count

    def start(self, slot: int, model: Path, context: int) -> None:
        """Load the model with the context of all tasks. ``context`` is the task's own and at most as long."""
        if self._models.get(slot) == model and slot in self._widths:
            self._events.append(Started(slot, self._widths[slot]))
            return
        self._widths.pop(slot, None)
        self._models[slot] = model
        self._engines.start(slot, model, max(context, self._context))

    def turn(self, slot: int, requests: Sequence[Request]) -> None:
        self._engines.turn(slot, requests)

    def stop(self, slot: int) -> None:
        """The end of a task frees nothing."""

    def wait(self, seconds: float) -> list[Event]:
        if self._events:
            events, self._events = self._events, []
            return events
        events = self._engines.wait(seconds)
        for event in events:
            if isinstance(event, Started):
                self._widths[event.slot] = event.width
            elif isinstance(event, Lost):
                self._models.pop(event.slot, None)
        return events
