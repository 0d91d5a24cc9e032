"""Figures of capacity in the docs are those of the records, with the records' prefill chunk."""

import re

import pytest

from judgerlvr.config.load import ROOT

RECORDS = ROOT / "benchmarks" / "results"
PAGE = (ROOT / "docs" / "hysparse-vllm.md").read_text()
CASES = [
    ("36 layers at 1:3", "36 layers 1:3, 32/8 heads", "hysparse-rollouts-h200-2026-11-30.md"),
    ("49 layers at 1:11", "49 layers 1:11, 64/4 heads", "hysparse-rollouts-h200-2026-11-26.md"),
]


def held(record: str, shape: str, model: str) -> int:
    """Requests of 4,096 tokens and their output that fit."""
    row = next(line for line in record.splitlines() if line.startswith(f"| {shape} | {model} | 4096 |"))
    return int(row.split("|")[4])


@pytest.mark.parametrize(("said", "shape", "name"), CASES)
def test_requests_that_are_held(said, shape, name):
    record = (RECORDS / name).read_text()
    own, full = (held(record, shape, model) for model in ("hysparse", "full"))
    told = re.search(rf"- {said} .*?: ([\d.]+) times\s*\(\[record\]\(\.\./benchmarks/results/{name}\)", PAGE, re.DOTALL)
    assert told and float(told[1]) == round(own / full, 1)
    assert f" {own} requests" in told[0] and f"full attention held {full}:" in told[0]
    assert "kv_gib 48" in record and "batched 8192" in record
