"""The answer on top of the page: accuracy, length and judging of all arms, as bars with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from judgerlvr.evaluation.metrics import Estimate
from judgerlvr.reporting.arms import Arm, Looks, main_arms
from judgerlvr.reporting.evaluations import Kind, Result
from judgerlvr.reporting.parts import Figure
from judgerlvr.reporting.plotting import Bar, draw_bars

Reader = Callable[[Result], Estimate | None]
DECODINGS = (("sampled", False), ("greedy", True))
ONE_RUN = "Whiskers: 95 % interval over problems."
SEVERAL = "Bars of several runs are means, with whiskers from the lowest to the highest run."


def accuracy_of(row: Result) -> Estimate | None:
    return row.accuracy


def tokens_of(row: Result) -> Estimate | None:
    """Mean length of all responses."""
    return row.tokens["all"].mean if "all" in row.tokens else None


def judging_of(row: Result) -> Estimate | None:
    return row.judging.balanced_accuracy if row.judging else None


# Title, kind, value, label of the axis, and digits.
BARS: tuple[tuple[str, Kind, Reader, str, int], ...] = (
    ("Accuracy of solutions", "generate", accuracy_of, "accuracy, share of samples", 3),
    ("Length of solutions", "generate", tokens_of, "mean tokens of a response", 0),
    ("Judging of given solutions", "judge", judging_of, "balanced accuracy, share", 3),
)


def answer_figures(arms: Sequence[Arm], looks: Looks) -> Iterator[Figure]:
    """One figure a measure that any arm has, sampled and greedy side by side."""
    shown = main_arms(arms)
    for title, kind, reader, label, digits in BARS:
        groups = [(name, _bars(shown, looks, kind, greedy, reader)) for name, greedy in DECODINGS]
        groups = [(name, bars) for name, bars in groups if any(bar.value is not None for bar in bars)]
        if groups:
            svg = draw_bars(groups, label, digits)
            yield Figure(title, svg, f"{label.capitalize()}. {_whiskers(shown)}", _summary(groups, digits))


def _whiskers(arms: Sequence[Arm]) -> str:
    return ONE_RUN if len({arm.name for arm in arms}) == len(arms) else f"{ONE_RUN} {SEVERAL}"


def _bars(arms: Sequence[Arm], looks: Looks, kind: Kind, greedy: bool, reader: Reader) -> list[Bar]:
    """One bar a name, in the order of the arms."""
    bars = []
    for name in dict.fromkeys(arm.name for arm in arms):
        rows = [row for arm in arms if arm.name == name and (row := arm.measured.row(kind, greedy))]
        found = [value for row in rows if (value := reader(row)) and not math.isnan(value.value)]
        bars.append(_bar(name, looks, found))
    return bars


def _bar(name: str, looks: Looks, found: Sequence[Estimate]) -> Bar:
    if not found:
        return Bar(name, looks.of(name), None)
    if len(found) == 1:
        return Bar(name, looks.of(name), found[0].value, found[0].low, found[0].high)
    values = [estimate.value for estimate in found]
    return Bar(name, looks.of(name), sum(values) / len(values), min(values), max(values))


def _summary(groups: Sequence[tuple[str, Sequence[Bar]]], digits: int) -> str:
    return "; ".join(
        f"{group}, {bar.name}: {bar.value:.{digits}f}"
        for group, bars in groups
        for bar in bars
        if bar.value is not None
    )
