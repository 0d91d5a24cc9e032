"""When a stage ends before its last step: tokens, hours, a plateau of judging, or a gain of solving."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from judgerlvr.config.schema import Stop
from judgerlvr.runs.metrics import HELDOUT_BALANCED, SOLVING_ACCURACY, StepRow
from rewards.wording import counted

# Means of shares are not exact: .35 - .25 lies below .1.
ROUNDING = 1e-9


class StopRules:
    """Counts across resumes: ``restore`` takes what an earlier process had used.

    ``solving_gain`` is the gain of solving over the starting policy that ends a judge stage, 0 for none.
    """

    def __init__(self, stop: Stop, solving_gain: float = 0.0) -> None:
        self.stop, self.solving_gain = stop, solving_gain
        self.started = time.monotonic()
        self.best, self.best_step, self.step = 0.0, 0, 0
        self.solving: dict[str, float] = {}  # accuracy of the starting policy, and the last one measured

    def seconds(self) -> float:
        return time.monotonic() - self.started

    def restore(self, seconds: float, plateau: Mapping[str, Any], solving: Mapping[str, float] | None = None) -> None:
        self.started = time.monotonic() - seconds
        self.solving = dict(solving or {})
        self.best, self.best_step, self.step = plateau["best"], plateau["best_step"], plateau["step"]

    @property
    def since_best(self) -> int:
        """Steps since the best held-out balanced accuracy."""
        return self.step - self.best_step

    def plateau_state(self) -> dict[str, float]:
        return {"best": self.best, "best_step": self.best_step, "step": self.step}

    def solving_state(self) -> dict[str, float]:
        return dict(self.solving)

    def observe_start(self, row: StepRow) -> None:
        """Take note of the validation before the first step, whose policy is the starting policy."""
        solved = row.get(SOLVING_ACCURACY)
        if solved is not None:
            self.solving = {"base": solved, "now": solved}

    def out_of_reach(self) -> str | None:
        """Why the gain of solving cannot come, or None."""
        base = self.solving.get("base", 0.0)
        if base + self.solving_gain <= 1 + ROUNDING:
            return None
        return (
            f"the starting policy solves {base:.3f}, so a judge.solving.stop_gain of {self.solving_gain:g} never comes"
        )

    def observe(self, row: StepRow) -> None:
        """Take note of a step's row. Steps without validation move neither plateau nor gain."""
        solved = row.get(SOLVING_ACCURACY)
        if solved is not None:
            self.solving["now"] = solved
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
        return self._solves_enough()

    def _solves_enough(self) -> str | None:
        if not self.solving_gain or "base" not in self.solving:
            return None
        base, now = self.solving["base"], self.solving["now"]
        # Written so that NaN does not stop the run.
        if now - base >= self.solving_gain - ROUNDING:
            gain = f"judge.solving.stop_gain {self.solving_gain:g}"
            return f"solving accuracy rose from the starting policy's {base:.3f} to {now:.3f} ({gain})"
        return None
