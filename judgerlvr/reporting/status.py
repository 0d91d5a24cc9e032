"""How a run stands: finished, still training, failed with a cause, or stopped on the way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from judgerlvr.runs.folder import read_failure
from judgerlvr.runs.lock import seems_held
from judgerlvr.runs.manifest import Manifest
from judgerlvr.runs.metrics import DECLARED, StepRow


class State(StrEnum):
    """The words that the page shows."""

    finished = "finished"
    training = "still training"
    failed = "failed"
    stopped = "stopped before its end"
    evaluated = "evaluation only"


@dataclass(frozen=True)
class Status:
    """The state of a run, with the cause of a failure."""

    state: State = State.evaluated
    cause: str = ""

    @property
    def is_bad(self) -> bool:
        return self.state is State.failed or bool(self.cause)

    def __str__(self) -> str:
        return f"{self.state}: {self.cause}" if self.cause else self.state.value


def status_of(folder: Path, manifest: Manifest | None, rows: Sequence[StepRow]) -> Status:
    """The status from the manifest, the note of a failure, the lock and the step rows.

    Raises:
        InputError: the note of a failure is damaged.
    """
    if manifest is None:
        return Status()
    not_finite = "; ".join(not_finite_values(rows)[:1])
    if manifest.export:
        return Status(State.finished, not_finite)
    if seems_held(folder):
        return Status(State.training, not_finite)
    cause = read_failure(folder) or not_finite
    return Status(State.failed, cause) if cause else Status(State.stopped)


def not_finite_values(rows: Sequence[StepRow]) -> list[str]:
    """Guarded metrics that are no numbers, as ``step 3: actor/grad_norm is nan``."""
    guarded = [metric.name for metric in DECLARED if metric.guarded]
    return [
        f"step {row.step}: {name} is {row.values[name]}"
        for row in rows
        for name in guarded
        if name in row.values and not math.isfinite(row.values[name])
    ]
