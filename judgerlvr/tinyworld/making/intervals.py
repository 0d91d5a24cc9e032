"""Measured figures with intervals, and the bounds of each figure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from statsmodels.stats.proportion import proportion_confint

_Z = 1.96  # two-sided 95 %


@dataclass(frozen=True)
class Gate:
    """A measured figure with its 95 % interval, and the range that the figure must lie in (None: open on that side)."""

    name: str
    value: float
    low: float
    high: float
    count: int
    at_least: float | None = None
    at_most: float | None = None

    @property
    def passed(self) -> bool:
        above = self.at_least is None or self.value >= self.at_least
        return above and (self.at_most is None or self.value <= self.at_most)

    @property
    def bounds(self) -> str:
        lower = f">= {self.at_least:g}" if self.at_least is not None else ""
        upper = f"<= {self.at_most:g}" if self.at_most is not None else ""
        return ", ".join(filter(None, [lower, upper]))

    @property
    def row(self) -> str:
        state = ("pass" if self.passed else "FAIL") if self.bounds else ""
        interval = f"{self.low:.3f} to {self.high:.3f}"
        return f"| {self.name} | {self.value:.3f} | {interval} | {self.count} | {self.bounds} | {state} |"


def rate(name: str, hits: Iterable[bool], at_least: float | None = None, at_most: float | None = None) -> Gate:
    """Share of True with its Wilson interval (Wilson, 1927). Without any outcome the interval is [0, 1]."""
    outcomes = list(hits)
    n = len(outcomes)
    if not n:
        return Gate(name, math.nan, 0.0, 1.0, 0, at_least, at_most)
    low, high = proportion_confint(sum(outcomes), n, method="wilson")
    return Gate(name, sum(outcomes) / n, float(low), float(high), n, at_least, at_most)


def mean(name: str, values: Sequence[float], at_least: float | None = None) -> Gate:
    """Mean with its normal interval. Without any value the mean is not a number."""
    n = len(values)
    if not n:
        return Gate(name, math.nan, -math.inf, math.inf, 0, at_least)
    middle = sum(values) / n
    spread = math.sqrt(sum((value - middle) ** 2 for value in values) / max(n - 1, 1))
    half = _Z * spread / math.sqrt(n)
    return Gate(name, middle, middle - half, middle + half, n, at_least)


def balanced(name: str, right: Gate, wrong: Gate, at_least: float, at_most: float) -> Gate:
    """Mean of the accuracies on right and on wrong solutions. The two errors are taken as independent."""
    middle = (right.value + wrong.value) / 2
    half = math.hypot(right.high - right.low, wrong.high - wrong.low) / 4
    return Gate(name, middle, middle - half, middle + half, right.count + wrong.count, at_least, at_most)


def table(gates: Iterable[Gate]) -> str:
    """The figures as a Markdown table."""
    head = "| figure | value | 95 % interval | n | wanted | |\n| --- | --- | --- | --- | --- | --- |"
    return "\n".join([head, *(gate.row for gate in gates)])
