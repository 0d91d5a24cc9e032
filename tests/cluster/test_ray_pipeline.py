"""The pipeline as one job of a running cluster, with kills: the weights of an undisturbed local run."""

import random
import re
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from tests.helpers.ray_head import ray_head, run
from tests.helpers.stage_runs import PLAN, SMALL, write_candidates

pytestmark = pytest.mark.slow
# Commands of the pipeline, each killed once, and verl's training process, killed in stage 2.
VICTIMS = ("stage1_judge", "stage2_generate", "ray::WorkerDict", "evaluate")
SEED = 19


def write_plan(folder):
    candidates = folder / "candidates.jsonl"
    write_candidates(candidates)
    stops = [f"{stage}.stop.steps=2" for stage in ("judge", "generate")]
    every = [f"{stage}.checkpoint.every=1" for stage in ("judge", "generate")]
    words = [*SMALL[1:], *stops, *every, "generate.algorithm.dynamic_sampling=false"]
    listed = ", ".join([*words, f"'judge.data.responses=[{candidates}]'"])
    path = folder / "plan.yaml"
    path.write_text(PLAN.format(overrides=listed))
    return path


def found(victim, storage):
    """Processes of the pipeline: a command names the storage, a worker has an ancestor in the cluster."""
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if victim.startswith("ray::"):
            if line.startswith(victim):
                yield process
        elif f"-m judgerlvr.{victim} " in line and str(storage) in line:
            yield process


def kill_each(storage, end, killed):
    """Kill each victim once, at a seeded time after the victim appears."""
    draw = random.Random(SEED)
    delays = {victim: draw.uniform(2, 20) for victim in VICTIMS}
    for victim in VICTIMS:
        while not end.is_set():
            for process in found(victim, storage):
                time.sleep(delays[victim])
                if process.is_running():
                    process.kill()
                    killed.append(victim)
                    break
            if victim in killed:
                break
            time.sleep(0.2)


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    return write_plan(tmp_path_factory.mktemp("plan"))


@pytest.fixture(scope="module")
def disturbed(plan, tmp_path_factory):
    """(storage, output, victims) of a pipeline whose processes were killed."""
    storage, end, killed = tmp_path_factory.mktemp("storage"), threading.Event(), []
    with ray_head(tmp_path_factory.mktemp("ray")) as environment:
        killer = threading.Thread(target=kill_each, args=(storage, end, killed))
        killer.start()
        done = run(["scripts/submit_ray.sh", "--storage", storage, "experiment", plan, "--restarts", 6], environment)
        end.set()
        killer.join()
        job = re.search(r"submitted: (\S+)", done.stdout)
        assert done.returncode == 0, done.stdout + done.stderr
        status = run(["scripts/submit_ray.sh", "status", job.group(1)], environment)
        assert status.returncode == 0 and "SUCCEEDED" in status.stdout
    return storage / "experiments" / "plan", done.stdout, killed


@pytest.fixture(scope="module")
def undisturbed(plan, tmp_path_factory):
    out = tmp_path_factory.mktemp("local") / "out"
    done = run([sys.executable, "-m", "judgerlvr.experiment", plan, "--out", out])
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_every_victim_was_killed_and_each_end_is_told(disturbed):
    _, output, killed = disturbed
    assert killed == list(VICTIMS)
    assert len(re.findall(r"; restart \d of 6 in", output)) >= len(VICTIMS)


@pytest.mark.parametrize("stage", ["judge", "generate"])
def test_the_weights_are_those_of_an_undisturbed_run(disturbed, undisturbed, stage):
    there, here = (
        load_file(Path(folder) / "ckpt" / stage / "model.safetensors") for folder in (disturbed[0], undisturbed)
    )
    assert all(torch.equal(there[name], here[name]) for name in here)


def test_the_report_is_written(disturbed):
    assert (disturbed[0] / "report.html").is_file()
