"""Record of a step: a row of metrics.jsonl, a line on the console, and verl's own trackers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from judgerlvr.config.schema import Stop
from judgerlvr.engine.in_training.eta import Pace, foresee, shown
from judgerlvr.engine.in_training.stopping import StopRules
from judgerlvr.engine.private.tracking import flush
from judgerlvr.runs import metrics
from judgerlvr.runs.metrics import DROPPED, StepRow, append_row, log_progress


class Tracker(Protocol):
    logger: dict[str, Any]

    def log(self, data: dict[str, Any], step: int) -> None: ...

    def finish(self, exit_code: int = 0) -> None: ...


def _plain(value: Any) -> float | None:
    if isinstance(value, bool | int | float | np.number):
        return float(value)
    return None


def _measured(row: StepRow) -> list[str]:
    """Parts of the line that only some steps have."""
    parts = (
        ("solving {:.3f}", metrics.SOLVING_ACCURACY),
        ("entropy {:.3f}", metrics.ENTROPY),
        ("mismatch {:.1e}", metrics.MISMATCH),
    )
    return [form.format(value) for form, metric in parts if (value := row.get(metric)) is not None]


class StepLog:
    """Replaces verl's tracker: passes all metrics on to the tracker, and writes each step into the run folder.

    ``on_step`` sees the row of each training step after the row is on disk.
    So the metrics that stop a run are in the run's log.
    ``publish`` sees every row, those of validations included.
    ``stop`` holds the limits of the whole run. A resumed run goes on with the counts of ``rules`` and with its seconds.
    """

    def __init__(
        self,
        tracker: Tracker,
        path: Path,
        kind: str,
        stop: Stop,
        on_step: Callable[[StepRow], None],
        rules: StopRules,
        publish: Callable[[StepRow], None] | None = None,
    ) -> None:
        self.tracker, self.path, self.kind, self.stop, self.on_step = tracker, path, kind, stop, on_step
        self.rules, self.pace, self.publish = rules, Pace(), publish
        self.last = time.monotonic()
        self.tokens: float | None = None

    def log(self, data: dict[str, Any], step: int) -> None:
        self.tracker.log(data=data, step=step)
        flush(self.tracker)
        now = time.monotonic()
        values = {name: number for name, value in data.items() if (number := _plain(value)) is not None}
        values = {name: value for name, value in values.items() if name not in DROPPED}
        row = StepRow(step, self.kind, round(self.rules.seconds(), 3), values)
        append_row(self.path, row)
        if self.publish:
            self.publish(row)
        if row.is_training:
            self.pace.add(now - self.last, self._step_tokens(row))
            self.last = now
            log_progress(self.path.parent, self._line(row))
            self.on_step(row)
        else:
            self._begin(row)

    def _begin(self, row: StepRow) -> None:
        """The validation before the first step."""
        self.rules.observe_start(row)
        if (solved := row.get(metrics.SOLVING_ACCURACY)) is not None:
            log_progress(self.path.parent, f"the starting policy solves {solved:.3f} of the held-out problems")
        if why := self.rules.out_of_reach():
            log_progress(self.path.parent, f"warning: {why}")

    def _step_tokens(self, row: StepRow) -> float:
        """Tokens that the step sampled, dropped groups included."""
        total = row[metrics.GENERATED_TOKENS]
        before, self.tokens = self.tokens, total
        return total - before if before is not None else total / max(1, row.step)

    def _line(self, row: StepRow) -> str:
        end = foresee(self.stop, row.step, row[metrics.GENERATED_TOKENS], row.seconds, self.rules.since_best, self.pace)
        steps = row.step + end.steps
        done = "#" * round(20 * row.step / max(1, steps))
        parts = [
            f"{self.kind:>8} [{done:<20}] {row.step}/{'' if end.rule == 'steps' else '~'}{steps}",
            f"accuracy {row[metrics.ACCURACY]:.3f}",
            f"reward {row[metrics.REWARD]:.3f}",
            f"tokens {row[metrics.MEAN_TOKENS]:.1f}",
            *_measured(row),
            f"{self.pace.seconds[-1]:.1f} s",
            shown(end, self.pace),
        ]
        return "  ".join(parts)

    def finish(self, exit_code: int = 0) -> None:
        self.tracker.finish(exit_code=exit_code)
