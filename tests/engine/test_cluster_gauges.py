"""Gauges of Ray: each value of a step under its name with its labels."""

from judgerlvr.engine.in_training import cluster_gauges
from judgerlvr.engine.in_training.cluster_gauges import ClusterGauges
from judgerlvr.runs.metrics import StepRow


def test_each_value_is_set_with_its_labels(monkeypatch):
    said, made = {}, []

    class Gauge:
        def __init__(self, name, description, tag_keys):
            made.append(name)
            self.name, self.keys = name, tag_keys

        def set(self, value, tags):
            assert set(tags) == set(self.keys)
            said[self.name, tags["part"]] = (value, tags["run"], tags["stage"])

    monkeypatch.setattr(cluster_gauges, "Gauge", Gauge)
    publish = ClusterGauges("first")
    for step in (1, 2):
        publish(StepRow(step, "judge", 1.0, {"response/accuracy": step / 2, "reason/correct": 3.0}))
    assert said == {
        ("judgerlvr_step", ""): (2.0, "first", "judge"),
        ("judgerlvr_response_accuracy", ""): (1.0, "first", "judge"),
        ("judgerlvr_reason", "correct"): (3.0, "first", "judge"),
    }
    assert len(made) == len(set(made)) == 3
