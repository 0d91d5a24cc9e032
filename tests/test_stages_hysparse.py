"""A HySparse policy in generation RL on the CPU: vLLM rollouts, FSDP2 updates, weight sync, export."""

import json
import subprocess
import sys

import pytest
from stage_runs import SMALL

from judgerlvr.config.load import ROOT
from judgerlvr.engine.steplog import read_metrics
from judgerlvr.tinyworld.checkpoint import base_path

pytestmark = [pytest.mark.engine, pytest.mark.slow]
LIMIT, STEPS = 600, 2
SETTINGS = [
    *SMALL,
    f"generate.stop.steps={STEPS}",
    "generate.algorithm.dynamic_sampling=false",
    "data.tiny_heldout=16",
    "logging.tensorboard=false",
    "cluster.device=cpu",
    "name=generate",
]
# Converted bases: close enough to their sources to be right at times, so that there is something to learn from.
SHAPE = ["--sparse-ratio", "2", "--select-block", "16", "--select-tokens", "64", "--window", "64"]


def run(module, *arguments):
    command = [sys.executable, "-m", f"judgerlvr.{module}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("source", ["qwen3", "qwen3_moe"])
def test_two_steps_whose_rollouts_are_the_trainers(source, tmp_path):
    run("hysparse.convert", base_path(source), tmp_path / "model", *SHAPE)
    where = [f"model.path={tmp_path / 'model'}", f"runs={tmp_path / 'runs'}", "--out", tmp_path / "ckpt"]
    run("stage2_generate", *SETTINGS, *where)
    folder = tmp_path / "runs" / "generate"
    steps = [row for row in read_metrics(folder / "metrics.jsonl") if "sampled/tokens" in row]
    assert len(steps) == STEPS
    assert any(row["actor/grad_norm"] > 0 for row in steps)
    assert max(row["training/rollout_probs_diff_max"] for row in steps) <= 2e-4
    assert json.loads((folder / "manifest.json").read_text())["export_difference"] <= 1e-5
