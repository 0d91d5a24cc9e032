"""Both stages as jobs of a running Ray cluster: the policy of a local run, and the exit code and cause of the job."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.helpers.ray_head import ray_head, run
from tests.helpers.stage_runs import SMALL, write_candidates

pytestmark = pytest.mark.slow
SETTINGS = [*SMALL, "judge.stop.steps=2", "generate.stop.steps=2", "generate.algorithm.dynamic_sampling=false"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with ray_head(tmp_path_factory.mktemp("ray")) as environment:
        yield environment


@pytest.fixture(scope="module")
def candidates(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "candidates.jsonl"
    write_candidates(path)
    return f"judge.data.responses=[{path}]"


@pytest.fixture(scope="module")
def submitted(cluster, candidates, tmp_path_factory):
    """Storage after stage 1, then stage 2 from its policy, both submitted."""
    storage = tmp_path_factory.mktemp("storage")
    submit = ["scripts/submit_ray.sh", "--storage", storage]
    judge = run([*submit, "stage1_judge", *SETTINGS, candidates], cluster)
    assert judge.returncode == 0, judge.stdout + judge.stderr
    init = storage / "ckpt" / "judge"
    generate = run([*submit, "stage2_generate", "--init", init, *SETTINGS], cluster)
    assert generate.returncode == 0, generate.stdout + generate.stderr
    return storage


@pytest.fixture(scope="module")
def local(candidates, tmp_path_factory):
    """The same two stages without a cluster."""
    folder = tmp_path_factory.mktemp("local")
    python = [sys.executable, "-m"]
    runs, init = f"runs={folder / 'runs'}", folder / "ckpt" / "judge"
    judge = run([*python, "judgerlvr.stage1_judge", *SETTINGS, candidates, runs, "--out", init])
    assert judge.returncode == 0, judge.stdout + judge.stderr
    out = folder / "ckpt" / "generate"
    generate = run([*python, "judgerlvr.stage2_generate", "--init", init, *SETTINGS, runs, "--out", out])
    assert generate.returncode == 0, generate.stdout + generate.stderr
    return folder


@pytest.mark.parametrize("stage", ["judge", "generate"])
def test_a_submitted_stage_ends_in_the_local_run_s_weights(submitted, local, stage):
    there, here = (load_file(folder / "ckpt" / stage / "model.safetensors") for folder in (submitted, local))
    assert all(torch.equal(there[name], here[name]) for name in here)


def test_the_second_job_started_from_the_first_one_s_policy(submitted):
    manifest = json.loads((submitted / "runs" / "generate" / "manifest.json").read_text())
    assert Path(manifest["parent"]["run"]).name == "judge"


def test_a_failing_job_returns_its_code_and_its_cause(cluster, tmp_path):
    words = ["scripts/submit_ray.sh", "--storage", tmp_path, "stage1_judge", "judge.stop.stepz=1"]
    done = run(words, cluster)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "judge.stop.steps" in done.stdout + done.stderr
