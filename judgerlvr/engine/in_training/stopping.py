"""When a stage ends before its last step: tokens, hours, or a plateau of the held-out balanced accuracy."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from judgerlvr.config.schema import Stop
from judgerlvr.runs.metrics import HELDOUT_BALANCED, StepRow
from rewards.wording import counted


class StopRules:
    """Counts across resumes: ``restore`` takes what an earlier process had used."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop
        self.started = time.monotonic()
        self.best, self.best_step, self.step = 0.0, 0, 0

    def seconds(self) -> float:
        return time.monotonic() - self.started

    def restore(self, seconds: float, plateau: Mapping[str, Any]) -> None:
        self.started = time.monotonic() - seconds
        self.best, self.best_step, self.step = plateau["best"], plateau["best_step"], plateau["step"]

    @property
    def since_best(self) -> int:
        """Steps since the best held-out balanced accuracy."""
        return self.step - self.best_step

    def plateau_state(self) -> dict[str, float]:
        return {"best": self.best, "best_step": self.best_step, "step": self.step}

    def observe(self, row: StepRow) -> None:
        """Take note of a step's row. Steps without validation do not move the plateau."""
        accuracy = row.get(HELDOUT_BALANCED)
        if accuracy is None:
            return
        self.step = row.step
        if accuracy >= self.best + self.stop.plateau.min_gain:
            self.best, self.best_step = accuracy, row.step

    def reason_to_stop(self, generated_tokens: int) -> str | None:
        """Why the current step is the last one, or None."""
        stop = self.stop
        if stop.generated_tokens and generated_tokens >= stop.generated_tokens:
            return f"{counted(generated_tokens, 'token')} generated (stop.generated_tokens {stop.generated_tokens})"
        if stop.hours and self.seconds() >= stop.hours * 3600:
            return f"{self.seconds() / 3600:.2f} h (stop.hours {stop.hours:g})"
        if stop.plateau.steps and self.since_best >= stop.plateau.steps:
            return f"balanced accuracy has not risen from {self.best:.3f} since step {self.best_step}"
        return None
