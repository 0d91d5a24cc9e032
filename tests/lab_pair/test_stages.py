"""Two steps of the pair by verl and vLLM on the CPU, from files that ``prepare`` has written."""

import json
import math
import os
import subprocess
import sys

import pytest

from benchmarks.lab_pair.prepare import CONFIG, prepare
from judgerlvr.config.load import ROOT
from judgerlvr.runs.metrics import MISMATCH, read_metrics
from tests.lab_pair.conftest import NAME

pytestmark = pytest.mark.engine
STEPS = 2


@pytest.fixture(scope="module")
def run(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    prepare(small.cell, small.base, folder)
    words = [sys.executable, "-m", "judgerlvr.stage2_generate", "--config", str(folder / CONFIG)]
    words += [f"runs={folder / 'runs'}", "name=vanilla", "--out", str(folder / "vanilla")]
    words += [f"generate.stop.steps={STEPS}", "generate.validation.every=0", "logging.rollouts_per_step=8"]
    done = subprocess.run(
        words, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
    return folder / "runs" / "vanilla"


def responses(run):
    files = sorted((run / "rollouts").glob("*.jsonl"))
    return [json.loads(line)["response"].split() for file in files for line in file.read_text().splitlines()]


def test_the_world_answers_every_recheck(run):
    answered = [
        words[place + 1] for words in responses(run) for place, word in enumerate(words[:-1]) if word == "recheck"
    ]
    assert answered and set(answered) <= {"accepted", "refused"}


def test_the_worlds_tokens_carry_no_loss(run):
    """The rollout has log-probability 0 for a reply. A reply that counted would lift the mean above any rounding."""
    rows = read_metrics(run / "metrics.jsonl")
    assert len(rows) == STEPS
    for row in rows:
        assert row.values[MISMATCH.name] < 1e-4
        assert abs(row.values["mismatch/kl"]) < 1e-4
        assert math.isfinite(row.values["actor/loss"])


def test_the_run_has_the_loop_of_the_cell(run):
    assert "benchmarks.lab_pair.loop.RecheckLoop" in (run / "agent_loops.yaml").read_text()
    assert NAME in (run / "data" / "heldout.jsonl").read_text()
