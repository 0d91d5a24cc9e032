"""Both stages as jobs of a running Ray cluster: the policy of a local run, and the exit code and cause of the job."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from judgerlvr.config.load import ROOT
from tests.helpers.ports import free_port
from tests.helpers.stage_runs import SMALL, write_candidates

pytestmark = pytest.mark.slow
LIMIT = 900
SETTINGS = [*SMALL, "judge.stop.steps=2", "generate.stop.steps=2", "generate.algorithm.dynamic_sampling=false"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The environment of someone who submits to a cluster of one CPU machine that counts as a GPU machine."""
    folder, port, gcs = tmp_path_factory.mktemp("ray"), free_port(), free_port()
    environment = os.environ | {"RAY_TMPDIR": str(folder), "JUDGERLVR_VENV": str(Path(sys.executable).parents[1])}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
    ray = Path(sys.executable).with_name("ray")
    options = [f"--port={gcs}", f"--dashboard-port={port}", "--num-cpus=16", "--num-gpus=1", "--disable-usage-stats"]
    # Ray's fixed ports would collide with any other cluster on this machine.
    options += [f"--dashboard-agent-listen-port={free_port()}", f"--ray-client-server-port={free_port()}"]
    with (folder / "head.log").open("w") as log:
        head = subprocess.Popen(
            [ray, "start", "--head", "--block", "--dashboard-host=127.0.0.1", *options],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    environment |= {"RAY_ADDRESS": f"http://127.0.0.1:{port}"}
    deadline = time.monotonic() + 180
    try:
        # A head node takes jobs only once its agent has registered.
        while run([ray, "job", "submit", "--", "true"], environment).returncode:
            assert time.monotonic() < deadline, (folder / "head.log").read_text()
            time.sleep(2)
        yield environment
    finally:
        os.killpg(head.pid, signal.SIGTERM)
        head.wait(60)


@pytest.fixture(scope="module")
def candidates(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "candidates.jsonl"
    write_candidates(path)
    return f"judge.data.responses=[{path}]"


def run(words, environment=None):
    return subprocess.run(
        list(map(str, words)), capture_output=True, text=True, timeout=LIMIT, check=False, cwd=ROOT, env=environment
    )


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
