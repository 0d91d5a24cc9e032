"""verl's trackers."""

from __future__ import annotations

from typing import Any


def flush(tracker: Any) -> None:
    """Bring TensorBoard's events to the disk. The writer of verl's ``Tracking`` keeps events for up to 120 s.

    A trainer that is killed would otherwise leave sealed steps that TensorBoard never shows.
    """
    adapter = tracker.logger.get("tensorboard")
    if adapter is not None:
        adapter.writer.flush()
