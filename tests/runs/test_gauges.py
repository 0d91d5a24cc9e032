"""Prometheus' names of the declared metrics, and the Grafana page that reads these names."""

import json
import re

from judgerlvr.config.load import ROOT
from judgerlvr.runs.gauges import LABELS, STEP, gauge_name, readings
from judgerlvr.runs.metrics import (
    ACCEPTED,
    ACCURACY,
    DECLARED,
    JUDGE_CLASS,
    MEAN_TOKENS,
    REASON,
    REWARD,
    THROUGHPUT,
    StepRow,
)

IDLE = "node_gpus_utilization"  # Ray's own, a percentage of each GPU
NAMES = {gauge_name(metric): metric for metric in (STEP, *DECLARED)}
PAGE = json.loads((ROOT / "scripts" / "cluster" / "grafana.json").read_text())
QUERIES = [target["expr"] for panel in PAGE["panels"] for target in panel["targets"]]
QUERIES += [one["query"] for one in PAGE["templating"]["list"] if one["type"] == "query"]


def test_every_metric_has_a_name_of_its_own_that_prometheus_allows():
    assert len(NAMES) == len(DECLARED) + 1
    assert all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) for name in NAMES)


def test_a_row_is_read_by_metric_and_part():
    values = {
        "response/accuracy": 0.5,
        "reason/correct": 3.0,
        "judge/accepted": 0.4,
        "judge/balanced": 0.6,
        "other": 1.0,
    }
    found = {(one.metric, one.part): one.value for one in readings(StepRow(7, "judge", 1.0, values))}
    expected = {(STEP, ""): 7.0, (ACCURACY, ""): 0.5, (REASON, "correct"): 3.0}
    assert found == expected | {(ACCEPTED, ""): 0.4, (JUDGE_CLASS, "balanced"): 0.6}


def test_the_page_reads_declared_metrics_and_one_of_ray():
    used = {name for query in QUERIES for name in re.findall(r"\bray_(\w+)", query)}
    assert used - set(NAMES) == {IDLE}


def test_ray_still_has_the_gauge_of_a_busy_gpu():
    from ray.dashboard.modules.reporter.reporter_agent import GPU_TAG_KEYS, METRICS_GAUGES

    assert IDLE in METRICS_GAUGES and "GpuIndex" in GPU_TAG_KEYS


def test_the_page_asks_for_labels_that_exist():
    assert QUERIES
    for query in QUERIES:
        assert set(re.findall(r"(\w+)=~", query)) <= set(LABELS)


def test_the_page_shows_what_a_run_is_watched_for():
    text = " ".join(QUERIES)
    assert all(
        gauge_name(metric) in text for metric in (REWARD, ACCURACY, MEAN_TOKENS, JUDGE_CLASS, REASON, THROUGHPUT)
    )
