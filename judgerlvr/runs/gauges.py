"""Prometheus' names of the declared metrics, and the values of a step under these names.

A metric such as ``response/accuracy`` is the gauge ``judgerlvr_response_accuracy``. A family such as ``reason/{}`` is
one gauge with the label ``part``. Ray writes ``ray_`` before each name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from judgerlvr.runs.metrics import DECLARED, Metric, StepRow

PREFIX = "judgerlvr_"
LABELS = ("run", "stage", "part")
# The step itself, so that a page can show how far a run is.
STEP = Metric("step", "step", "Training step of the run.")


@dataclass(frozen=True)
class Reading:
    """A value of a metric. ``part`` is what ``{}`` of a family stands for, and empty elsewhere."""

    metric: Metric
    part: str
    value: float


def gauge_name(metric: Metric) -> str:
    """The gauge of a metric, in characters that Prometheus allows."""
    return PREFIX + re.sub(r"[^a-zA-Z0-9_]+", "_", metric.name.removesuffix("/{}"))


def readings(row: StepRow) -> Iterator[Reading]:
    """Values of the declared metrics in a row, and the step."""
    yield Reading(STEP, "", float(row.step))
    single = {metric.name for metric in DECLARED}
    for metric in DECLARED:
        if not metric.name.endswith("{}"):
            if metric.name in row.values:
                yield Reading(metric, "", row.values[metric.name])
            continue
        head = metric.name.removesuffix("{}")
        for part, value in row.family(metric).items():
            # A metric of its own may begin like a family.
            if head + part not in single:
                yield Reading(metric, part, value)
