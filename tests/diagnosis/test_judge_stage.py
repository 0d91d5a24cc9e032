"""``--judge-steps`` for real: the shipped base is diagnosed, judges for two steps, and is measured again."""

import json
import os
import subprocess
import sys

import pytest

from judgerlvr.config.load import ROOT
from judgerlvr.models.identity import model_hash
from judgerlvr.tinyworld.making.checkpoint import base_path
from judgerlvr.tinyworld.problems import generate_problems, write_problems

pytestmark = pytest.mark.engine
STEPS, PROBLEMS, N = 2, 16, 8
SMALL = [
    "judge.batch.prompts_per_step=4",
    "judge.batch.samples_per_prompt=4",
    "judge.batch.updates_per_step=2",
    "judge.algorithm.dynamic_sampling=false",
    "judge.data.cap_per_problem=4",
]


def command(data, out):
    return [
        *(sys.executable, "-m", "judgerlvr.diagnose", "--model", str(base_path("qwen3_moe"))),
        *("--data", str(data), "--out", str(out), "--n", str(N), "--max-tokens", "160"),
        *("--prompt", "configs/prompts/tiny_generate.txt", "--judge-prompt", "configs/prompts/tiny_judge.txt"),
        *("--judge-steps", str(STEPS), "--judge-config", "configs/tiny.yaml", "--judge-set", *SMALL),
    ]


def test_a_stage_is_trained_and_measured(tmp_path):
    write_problems(tmp_path / "heldout.jsonl", generate_problems(PROBLEMS, 0, "heldout"))
    out, environment = tmp_path / "out", os.environ | {"PYTHONPATH": str(ROOT)}
    words = command(tmp_path / "heldout.jsonl", out)
    done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((out / "transfer.json").read_text())
    assert (found["trained"]["steps"], found["trained"]["samples"]) == (STEPS, STEPS * 4 * 4)
    assert (found["problems"], found["samples"]) == (PROBLEMS // 2, N * PROBLEMS // 2)
    assert found["model"]["hash"] == model_hash(base_path("qwen3_moe"))
    # The optimiser has moved the weights, and the samples after are of the moved weights.
    assert found["policy"]["hash"] == model_hash(out / "judge-policy") != found["model"]["hash"]
    assert "a judge stage was trained by RL: 2 steps" in done.stdout
