"""The declared metrics of each step as gauges of Ray, which a cluster's Prometheus reads from every node."""

from __future__ import annotations

from ray.util.metrics import Gauge

from judgerlvr.runs.gauges import LABELS, gauge_name, readings
from judgerlvr.runs.metrics import StepRow


class ClusterGauges:
    """Gauges of one run. Each is made when its metric first occurs."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.gauges: dict[str, Gauge] = {}

    def __call__(self, row: StepRow) -> None:
        for reading in readings(row):
            name = gauge_name(reading.metric)
            if name not in self.gauges:
                meaning = f"{reading.metric.meaning} Unit: {reading.metric.unit}."
                self.gauges[name] = Gauge(name, meaning, tag_keys=LABELS)
            labels = dict(zip(LABELS, (self.run, row.stage, reading.part), strict=True))
            self.gauges[name].set(reading.value, labels)
