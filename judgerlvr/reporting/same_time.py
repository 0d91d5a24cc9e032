"""Runs that trained at the same time on CPUs. Their hours are longer than the hours of each run alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from judgerlvr.reporting.arms import parent_of
from judgerlvr.reporting.parts import Cell
from judgerlvr.reporting.runs import Run
from judgerlvr.runs.metrics import training_seconds

Span = tuple[datetime, datetime]
MARK = "not comparable: beside"
NOT_COMPARABLE = (
    "Runs that trained side by side on a CPU shared the machine, and a run may have waited for another run. Such hours "
    "are marked, and are not to be added or compared. The marks follow from the start and the training time of each "
    "run, so that a pause before a resume can hide a mark."
)


def marked(cell: Cell, line: Sequence[Run], runs: Sequence[Run]) -> Cell:
    """A cell with the training time of the runs in ``line``. Names the runs that trained meanwhile."""
    others = dict.fromkeys(other.name for run in line for other in beside(run, runs) if other not in line)
    return replace(cell, detail=f"{MARK} {', '.join(others)}") if others else cell


def from_base(run: Run, runs: Sequence[Run]) -> Iterator[Run]:
    """The run and its ancestors among the runs."""
    yield run
    if parent := parent_of(run, runs):
        yield from from_base(parent, runs)


def beside(run: Run, runs: Sequence[Run]) -> list[Run]:
    """The other CPU runs that trained at any time at which this run did."""
    own = _span(run)
    return [other for other in runs if other is not run and own and (its := _span(other)) and _overlap(own, its)]


def _overlap(one: Span, two: Span) -> bool:
    return one[0] < two[1] and two[0] < one[1]


def _span(run: Run) -> Span | None:
    """Start and end of a run's training. None on GPUs, before the first step, and without a known start."""
    if run.manifest is None or run.manifest.device != "cpu" or not run.metrics:
        return None
    try:
        began = datetime.fromisoformat(run.manifest.started)
    except ValueError:
        return None
    began = began if began.tzinfo else began.replace(tzinfo=UTC)
    return began, began + timedelta(seconds=training_seconds(run.metrics))
