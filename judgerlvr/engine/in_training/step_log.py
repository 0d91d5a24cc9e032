"""What a step leaves behind: a line of metrics.jsonl, a line on the console, and verl's own trackers."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from data.balanced_accuracy import mean_recall
from data.jsonl import read_jsonl

PROGRESS = "progress.log"
METRICS = "metrics.jsonl"

# Data sources of held-out judge prompts, by label.
RIGHT, WRONG = "judge_right", "judge_wrong"


class Tracker(Protocol):
    def log(self, data: dict[str, Any], step: int) -> None: ...

    def finish(self, exit_code: int = 0) -> None: ...


def _plain(value: Any) -> float | None:
    if isinstance(value, bool | int | float | np.number):
        return float(value)
    return None


def held_out(metrics: Mapping[str, float]) -> dict[str, float]:
    """verl's validation figures under our names; judge prompts are validated as two sources, one a class."""
    accuracy = {
        name.split("/")[1]: value
        for name, value in metrics.items()
        if name.startswith("val-core/") and "/acc/mean@" in name
    }
    renamed = {f"validation/accuracy/{source}": value for source, value in accuracy.items()}
    if not math.isnan(balanced := mean_recall(accuracy.get(RIGHT), accuracy.get(WRONG))):
        renamed["validation/balanced_accuracy"] = balanced
    return renamed


def say(run_dir: Path, line: str) -> None:
    """A line for the person who watches: the driver copies this file to its console."""
    with (run_dir / PROGRESS).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


class StepLog:
    """Stands where verl's tracker stands, passes everything on, and adds the run folder's own record.

    ``on_step`` sees the metrics of each training step after they are on disk, so that what stops a run is in
    its log.
    """

    def __init__(self, tracker: Tracker, path: Path, kind: str, steps: int, on_step: Callable[..., None]) -> None:
        self.tracker, self.path, self.kind, self.steps, self.on_step = tracker, path, kind, steps, on_step
        self.started = self.last = time.monotonic()

    def log(self, data: dict[str, Any], step: int) -> None:
        self.tracker.log(data=data, step=step)
        now = time.monotonic()
        metrics = {name: number for name, value in data.items() if (number := _plain(value)) is not None}
        metrics |= held_out(metrics)
        row = {"step": step, "stage": self.kind, "seconds": round(now - self.started, 3), **metrics}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        if "sampled/tokens" in metrics:
            say(self.path.parent, self._line(step, metrics, now - self.last))
            self.last = now
            self.on_step(step, metrics)

    def _line(self, step: int, m: Mapping[str, float], seconds: float) -> str:
        done = "#" * round(20 * step / self.steps)
        left = (self.steps - step) * seconds
        parts = [
            f"{self.kind:>8} [{done:<20}] {step}/{self.steps}",
            f"accuracy {m['sampled/accuracy']:.3f}",
            f"reward {m.get('critic/score/mean', float('nan')):.3f}",
            f"tokens {m['sampled/tokens']:.1f}",
            f"entropy {m.get('actor/entropy', float('nan')):.3f}",
            f"mismatch {m.get('training/rollout_probs_diff_mean', float('nan')):.1e}",
            f"{seconds:.1f} s",
            f"ETA {left / 60:.1f} min",
        ]
        return "  ".join(parts)

    def finish(self, exit_code: int = 0) -> None:
        self.tracker.finish(exit_code=exit_code)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Rows of a metrics.jsonl; a last line cut by a crash is left out."""
    return list(read_jsonl(path, torn_last_line=True)) if path.exists() else []
