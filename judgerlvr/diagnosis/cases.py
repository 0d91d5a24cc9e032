"""Measured cases: what a model was before RL, and how judge-first training compared with vanilla RLVR from there.

``cases.json`` holds the figures alone. The outcome follows from the figures by one rule, so that nobody writes it.
A win or a loss must hold after Holm's correction over the cases of the file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from scipy.stats import t as student

from judgerlvr.evaluation.permutation import holm

FILE = Path(__file__).with_name("cases.json")
TIE_ACCURACY, TIE_LOG_TOKENS = 0.015, math.log(1.07)
LEVEL = 0.95  # of the intervals, and of the tests after the correction
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

    def p_above(self, pairs: int) -> float:
        """The two-sided p value of a mean that differs from 0, for the side above 0. At most 1.

        The bounds are those of Student's t over ``pairs``, so that the bounds give the standard error back.
        """
        half = (self.high - self.low) / 2
        if pairs < 2 or not math.isfinite(half):
            return 1.0
        # A half width of 0 is one that rounding took away.
        ratio = self.mean / half if half else math.copysign(math.inf, self.mean)
        free = pairs - 1
        return min(1.0, 2 * float(student.sf(ratio * student.ppf(0.5 + LEVEL / 2, free), free)))

    @property
    def mirrored(self) -> Bounds:
        """The same difference with the two sides exchanged."""
        return Bounds(-self.mean, -self.high, -self.low)


@dataclass(frozen=True)
class PValues:
    """p values of a win and of a loss."""

    win: float
    loss: float


@dataclass(frozen=True)
class Case:
    """One comparison at equal steps. ``accuracy`` is judge-first less vanilla, in shares.

    ``shortening`` is the log of vanilla's tokens over judge-first's, at matched accuracy where ``condition`` says so.
    ``tokens`` and ``front_tokens`` are of judge-first and of the penalty arms at its accuracy. The latter is None while
    no penalty arm has run, and infinite where none is as accurate. ``at_entropy`` is the accuracy difference at matched
    entropy where the record's rules ask a win for that too. ``failed_checks`` are go / no-go checks that failed.
    ``corrected`` are p values after Holm's correction. Without a correction the case is judged by itself.
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
    at_entropy: Bounds | None = None
    corrected: PValues | None = None

    @property
    def alone(self) -> PValues:
        """Without a correction. Both halves of a win must hold, so a win has the larger p value."""
        win = max(self.accuracy.p_above(self.pairs), self.shortening.p_above(self.pairs))
        return PValues(win, self.accuracy.mirrored.p_above(self.pairs))

    @property
    def may_claim(self) -> bool:
        """Whether the case can carry an outcome: pairs of runs, and no failed check."""
        return self.pairs > 1 and not self.failed_checks

    @property
    def sharper(self) -> bool:
        """Whether a win is denied, since policies that are equally unsure may be equally accurate."""
        return self.at_entropy is not None and self.at_entropy.low <= 0

    @property
    def outcome(self) -> Outcome:
        """A win has its lower bounds above 0 and fewer tokens than the penalty arms. A tie lies in 1.5 points, 7 %."""
        return self._outcome(self.corrected or self.alone)

    def _outcome(self, tests: PValues) -> Outcome:
        shorter = self.front_tokens is not None and self.tokens < self.front_tokens
        if self.failed_checks:
            return Outcome.UNDECIDED
        if min(self.accuracy.low, self.shortening.low) > 0 and tests.win < 1 - LEVEL and shorter:
            return Outcome.UNDECIDED if self.sharper else Outcome.WIN
        if self.accuracy.high < 0 and tests.loss < 1 - LEVEL:
            return Outcome.LOSS
        tie = self.accuracy.within(TIE_ACCURACY) and self.shortening.within(TIE_LOG_TOKENS)
        return Outcome.TIE if tie else Outcome.UNDECIDED

    @property
    def won(self) -> bool | None:
        """Whether judge-first won. None where the figures exclude neither a win nor its absence.

        A case did not win where its upper bound excludes an accuracy gain of 1.5 points. That bound is not corrected.
        """
        if self.outcome is Outcome.WIN:
            return True
        return False if self.may_claim and self.accuracy.high < TIE_ACCURACY else None

    @property
    def open_because(self) -> str:
        """Why no outcome is claimed. Empty for a decided case."""
        if self.outcome in DECIDED:
            return ""
        reasons = ["a single pair of runs"] if self.pairs < 2 else []
        reasons += ["no penalty arm"] if self.front_tokens is None else []
        reasons += [f"failed: {', '.join(self.failed_checks)}"] if self.failed_checks else []
        reasons += ["accuracy at matched entropy may be no higher"] if self.sharper and self.accuracy.low > 0 else []
        if (by_itself := self._outcome(self.alone)) in DECIDED:
            reasons.append(f"a {by_itself} by itself, but not after Holm's correction")
        return "; ".join(reasons) or "intervals too wide"


def read_cases(file: Path = FILE) -> list[Case]:
    return corrected([case_of(row) for row in json.loads(file.read_text(encoding="utf-8"))["cases"]])


def corrected(cases: Sequence[Case]) -> list[Case]:
    """The cases with Holm's correction over those that can carry an outcome. Wins and losses are separate families."""
    claims = [case for case in cases if case.may_claim]
    wins, losses = holm([case.alone.win for case in claims]), holm([case.alone.loss for case in claims])
    tests = iter(map(PValues, wins, losses))
    return [replace(case, corrected=next(tests)) if case.may_claim else case for case in cases]


def case_of(row: Mapping[str, Any]) -> Case:
    """A row of the file. A bound that does not exist is null there, and ``at_entropy`` may be null or absent."""
    front = math.inf if row["front_tokens"] == UNREACHED else row["front_tokens"]
    bounds = {
        name: Bounds(**{key: value for key, value in row[name].items() if value is not None})
        for name in ("accuracy", "shortening", "at_entropy")
        if row.get(name) is not None
    }
    return Case(**{**row, **bounds, "front_tokens": front, "failed_checks": tuple(row["failed_checks"])})
