"""Measured cases: what a model was before RL, and how judge-first training compared with vanilla RLVR from there.

``cases.json`` holds the figures alone. The outcome follows from the figures by one rule, so that nobody writes it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("cases.json")
TIE_ACCURACY, TIE_LOG_TOKENS = 0.015, math.log(1.07)
# In the file, in place of tokens: penalty arms have run, and no mixture of them is as accurate.
UNREACHED = "none as accurate"

# What a prediction looks at, and the unit of each input. A unit is the 95 % half width of 100 problems with 16 samples,
# measured on the tiny world's base. docs/diagnosis.md has the half widths of 50, 100 and 200 problems.
UNITS: Mapping[str, float] = {
    "pass@1": 0.04,
    "mixed groups of 16": 0.04,
    "greedy less sampled": 0.07,
    "judge balanced accuracy": 0.07,
    "judge false yes": 0.07,
    "log2 of tokens": 0.07,
}


class Outcome(StrEnum):
    """Judge-first against vanilla. Every case that the other three do not fit is undecided."""

    WIN = "win"
    TIE = "tie"
    LOSS = "loss"
    UNDECIDED = "undecided"


DECIDED = (Outcome.WIN, Outcome.TIE, Outcome.LOSS)


@dataclass(frozen=True)
class Bounds:
    """A mean over pairs of runs with its 95 % interval. A single pair bounds nothing."""

    mean: float
    low: float = -math.inf
    high: float = math.inf

    def within(self, margin: float) -> bool:
        return -margin < self.low and self.high < margin


@dataclass(frozen=True)
class Case:
    """One comparison at equal steps. ``accuracy`` is judge-first less vanilla, in shares.

    ``shortening`` is the log of vanilla's tokens over judge-first's, at matched accuracy where ``condition`` says so.
    ``tokens`` and ``front_tokens`` are of judge-first and of the penalty arms at its accuracy. The latter is None while
    no penalty arm has run, and infinite where none is as accurate. ``failed_checks`` are go / no-go checks that failed.
    """

    name: str
    family: str
    record: str
    condition: str
    pairs: int
    inputs: Mapping[str, float]
    accuracy: Bounds
    shortening: Bounds
    tokens: float
    front_tokens: float | None
    failed_checks: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """A win has both lower bounds above 0 and fewer tokens than the penalty arms. A tie lies in 1.5 points, 7 %."""
        shorter = self.front_tokens is not None and self.tokens < self.front_tokens
        if self.failed_checks:
            return Outcome.UNDECIDED
        if self.accuracy.low > 0 and self.shortening.low > 0 and shorter:
            return Outcome.WIN
        if self.accuracy.high < 0:
            return Outcome.LOSS
        tie = self.accuracy.within(TIE_ACCURACY) and self.shortening.within(TIE_LOG_TOKENS)
        return Outcome.TIE if tie else Outcome.UNDECIDED

    @property
    def open_because(self) -> str:
        """Why no outcome is claimed. Empty for a decided case."""
        if self.outcome in DECIDED:
            return ""
        reasons = ["a single pair of runs"] if self.pairs < 2 else []
        reasons += ["no penalty arm"] if self.front_tokens is None else []
        reasons += [f"failed: {', '.join(self.failed_checks)}"] if self.failed_checks else []
        return "; ".join(reasons) or "intervals too wide"


def read_cases(file: Path = FILE) -> list[Case]:
    return [case_of(row) for row in json.loads(file.read_text(encoding="utf-8"))["cases"]]


def case_of(row: Mapping[str, Any]) -> Case:
    """A row of the file. A bound that does not exist is null there."""
    front = math.inf if row["front_tokens"] == UNREACHED else row["front_tokens"]
    bounds = {
        name: Bounds(**{key: value for key, value in row[name].items() if value is not None})
        for name in ("accuracy", "shortening")
    }
    return Case(**{**row, **bounds, "front_tokens": front, "failed_checks": tuple(row["failed_checks"])})
