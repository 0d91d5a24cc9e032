"""The Slurm script with a real cluster whose head is killed. The requeued job ends in the weights of a quiet run."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from judgerlvr.config.load import ROOT
from judgerlvr.runs.checkpoints import complete
from tests.helpers.ports import free_port
from tests.helpers.ray_head import RAY, run
from tests.helpers.stage_runs import SMALL, write_candidates

pytestmark = pytest.mark.slow
SETTINGS = [*SMALL, "judge.stop.steps=2", "judge.checkpoint.every=1"]
LIMIT, STARTS = 420, 3
# One node, on which Slurm's commands run what they are given.
FAKES = {
    "path/scontrol": 'echo "$*" >> "$LOG"; if [ "$1 $2" = "show hostnames" ]; then hostname; fi',
    "path/srun": 'while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"',
    "venv/bin/python": f'exec {sys.executable} "$@"',
    "venv/bin/ray": f'exec {RAY[0]} {RAY[1]} "{RAY[2]}" "$@"',
}


@pytest.fixture
def cluster(tmp_path):
    """The environment of a Slurm job."""
    for name, body in FAKES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/bash\n{body}\n")
        file.chmod(0o755)
    given = {"PATH": f"{tmp_path}/path:{os.environ['PATH']}", "LOG": f"{tmp_path}/slurm"}
    slurm = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "here", "SLURM_CPUS_ON_NODE": "16"}
    slurm |= {"SLURM_SUBMIT_DIR": str(ROOT), "JUDGERLVR_VENV": f"{tmp_path}/venv"}
    # The paths of Ray's sockets must stay short.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as short:
        yield os.environ | given | slurm | {"RAY_TMPDIR": short}


def start(cluster, log, words):
    """The script and its own variables. Each start has ports of its own, as on other nodes."""
    ports = [f"--{name}={free_port()}" for name in ("dashboard-agent-listen-port", "ray-client-server-port")]
    own = {"JUDGERLVR_RAY_PORT": str(free_port()), "JUDGERLVR_DASHBOARD_PORT": str(free_port())}
    own |= {"JUDGERLVR_RAY_OPTIONS": " ".join(["--num-gpus=1", *ports]), "JUDGERLVR_HEAD_IP": "127.0.0.1"}
    script = [ROOT / "scripts" / "cluster" / "slurm.sh", *words]
    with log.open("w") as file:
        return subprocess.Popen(script, env=cluster | own, stdout=file, stderr=file, start_new_session=True), own


def start_again(cluster, folder, words):
    """Start the script as Slurm would, until a start is not requeued; returns the output."""
    # Ray's start fails on a machine that is too busy.
    for count in range(1, STARTS + 1):
        log = folder / f"start{count}.log"
        process, _ = start(cluster | {"SLURM_RESTART_COUNT": str(count)}, log, words)
        assert process.wait(LIMIT) == 0, log.read_text()
        if "; requeued" not in log.read_text():
            return log.read_text()
        end_of_allocation(cluster)
    raise AssertionError(log.read_text())


def kill_head(port):
    """Kill the head of the cluster at a port, and say how many processes were killed."""
    heads = [
        process
        for process in psutil.process_iter(["name", "cmdline"])
        if process.info["name"] == "gcs_server" and any(port in word for word in process.info["cmdline"])
    ]
    for process in heads:
        process.send_signal(signal.SIGKILL)
    return len(heads)


def end_of_allocation(cluster):
    """Kill what is left of a start, as Slurm does with all processes of a job that it requeues."""
    mark = f"RAY_TMPDIR={cluster['RAY_TMPDIR']}\0".encode()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        # Other processes end meanwhile.
        with suppress(OSError):
            if mark in environment.read_bytes():
                os.kill(int(environment.parent.name), signal.SIGKILL)


def wait_for(condition, process, log):
    until = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < until and process.poll() is None, log.read_text()
        time.sleep(0.1)


def test_a_requeued_job_ends_in_the_weights_of_a_quiet_run(cluster, tmp_path):
    candidates = tmp_path / "candidates.jsonl"
    write_candidates(candidates)
    words, storage = [*SETTINGS, f"judge.data.responses=[{candidates}]"], tmp_path / "storage"
    submitted = ["--storage", storage, "stage1_judge", *words]
    log = tmp_path / "first.log"
    first, own = start(cluster, log, submitted)
    wait_for(lambda: complete(storage / "runs" / "judge" / "checkpoints"), first, log)
    assert kill_head(own["JUDGERLVR_RAY_PORT"]) == 1
    assert first.wait(LIMIT) == 0, log.read_text()
    assert "a part of the cluster died; requeued" in log.read_text()
    assert "requeue 7" in Path(cluster["LOG"]).read_text().splitlines()
    end_of_allocation(cluster)
    said = start_again(cluster, tmp_path, submitted)
    assert "continuing from global_step_1" in said
    quiet = tmp_path / "quiet"
    python = [sys.executable, "-m", "judgerlvr.stage1_judge"]
    done = run([*python, *words, f"runs={quiet / 'runs'}", "--out", quiet / "ckpt" / "judge"])
    assert done.returncode == 0, done.stdout + done.stderr
    there, here = (load_file(folder / "ckpt" / "judge" / "model.safetensors") for folder in (storage, quiet))
    assert all(torch.equal(there[name], here[name]) for name in here)
