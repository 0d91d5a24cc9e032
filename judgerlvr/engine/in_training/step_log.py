"""Record of a step: a row of metrics.jsonl, a line on the console, and verl's own trackers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from judgerlvr.runs import metrics
from judgerlvr.runs.metrics import DROPPED, StepRow, append_row, log_progress


class Tracker(Protocol):
    def log(self, data: dict[str, Any], step: int) -> None: ...

    def finish(self, exit_code: int = 0) -> None: ...


def _plain(value: Any) -> float | None:
    if isinstance(value, bool | int | float | np.number):
        return float(value)
    return None


class StepLog:
    """Stands where verl's tracker stands, passes everything on, and adds the run folder's own record.

    ``on_step`` sees the row of each training step after the row is on disk.
    So the metrics that stop a run are in the run's log.
    ``seconds_before`` counts the training time of the parts of a resumed run.
    """

    def __init__(
        self,
        tracker: Tracker,
        path: Path,
        kind: str,
        steps: int,
        on_step: Callable[[StepRow], None],
        seconds_before: float = 0.0,
    ) -> None:
        self.tracker, self.path, self.kind, self.steps, self.on_step = tracker, path, kind, steps, on_step
        self.last = time.monotonic()
        self.started = self.last - seconds_before

    def log(self, data: dict[str, Any], step: int) -> None:
        self.tracker.log(data=data, step=step)
        now = time.monotonic()
        values = {name: number for name, value in data.items() if (number := _plain(value)) is not None}
        values = {name: value for name, value in values.items() if name not in DROPPED}
        row = StepRow(step, self.kind, round(now - self.started, 3), values)
        append_row(self.path, row)
        if row.is_training:
            log_progress(self.path.parent, self._line(row, now - self.last))
            self.last = now
            self.on_step(row)

    def _line(self, row: StepRow, seconds: float) -> str:
        done = "#" * round(20 * row.step / self.steps)
        left = (self.steps - row.step) * seconds
        parts = [
            f"{self.kind:>8} [{done:<20}] {row.step}/{self.steps}",
            f"accuracy {row[metrics.ACCURACY]:.3f}",
            f"reward {row[metrics.REWARD]:.3f}",
            f"tokens {row[metrics.MEAN_TOKENS]:.1f}",
            f"entropy {row[metrics.ENTROPY]:.3f}",
            f"mismatch {row[metrics.MISMATCH]:.1e}",
            f"{seconds:.1f} s",
            f"ETA {left / 60:.1f} min",
        ]
        return "  ".join(parts)

    def finish(self, exit_code: int = 0) -> None:
        self.tracker.finish(exit_code=exit_code)
