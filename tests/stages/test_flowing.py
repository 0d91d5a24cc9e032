"""Asynchronous rollouts for real, on the CPU: a run whose sampling flows over its updates, and one that is killed."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from judgerlvr.config.load import ROOT
from judgerlvr.runs.checkpoints import complete
from judgerlvr.runs.metrics import read_metrics
from tests.helpers.stage_runs import SMALL
from tests.helpers.two_nodes import TOKEN, head, second

pytestmark = pytest.mark.engine
STEPS, LIMIT = 3, 600
# Keys of a mode beside the name. One sample at once: with eight at once a busy machine's engine sampled all prompts
# ahead before the first update, and no response was interrupted.
MODES = {
    "colocate_async": [],
    "separate_async": [
        "cluster.rollout_gpus_per_node=1",
        "cluster.rollout_engine={max_num_seqs: 1}",
        "cluster.max_off_policy_steps=2",
    ],
}
# Without prompts ahead each step trains on samples of the weights that the last step sent.
NONE_AHEAD = [
    "engine.data.custom_cls.path=pkg://tests.helpers.none_ahead",
    "engine.data.custom_cls.name=NoneAhead",
]
SETTINGS = [
    *SMALL,
    "generate.algorithm.dynamic_sampling=false",
    f"generate.stop.steps={STEPS}",
    "generate.checkpoint.every=1",
    "generate.checkpoint.keep=0",
    "logging.rollouts_per_step=100",
]


def start(folder, *arguments):
    words = [sys.executable, "-m", "judgerlvr.stage2_generate", *arguments, "--out", str(folder / "policy")]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(words, stdout=log, stderr=log, cwd=ROOT, start_new_session=True)


def flow(folder, mode, *more):
    named = [f"cluster.trainer_mode={mode}", *MODES[mode]]
    return start(folder, *SETTINGS, *named, *more, f"runs={folder}", "name=flow")


def flown(folder, mode, *more):
    assert flow(folder, mode, *more).wait(LIMIT) == 0, (folder / "log").read_text()
    return folder / "flow"


@pytest.fixture(scope="module", params=MODES)
def whole(request, tmp_path_factory):
    return flown(tmp_path_factory.mktemp("flow"), request.param)


def values(run_dir, name):
    return [row.values[name] for row in read_metrics(run_dir / "metrics.jsonl") if row.is_training]


def prompts(run_dir):
    """Ids of the prompts that steps trained on."""
    lines = [line for file in sorted((run_dir / "rollouts").iterdir()) for line in file.read_text().splitlines()]
    return {(row["step"], row["id"]) for row in map(json.loads, lines)}


def test_later_steps_train_on_responses_that_older_weights_began(whole):
    ages = values(whole, "async/age_max")
    assert ages[0] == 0
    assert max(ages) >= 1


def test_updates_interrupt_responses_that_then_go_on(whole):
    assert max(values(whole, "async/partial")) > 0
    assert max(values(whole, "response/mean_tokens")) < 160


@pytest.mark.parametrize("whole", ["separate_async"], indirect=True)
def test_new_weights_come_before_queued_responses_have_begun(whole):
    """Some responses of the second step began with the weights of the first step's update."""
    assert values(whole, "async/age_mean")[1] < 1


def test_weights_of_another_step_explain_the_whole_difference_to_the_trainer(whole):
    """A step that trains on its own weights' samples shows the mismatch of a synchronous run."""
    for age, difference in zip(
        values(whole, "async/age_max"), values(whole, "training/rollout_probs_diff_mean"), strict=True
    ):
        assert age > 0 or difference < 1e-5


def test_the_manifest_says_that_a_resumed_run_ends_with_other_bits(whole):
    assert json.loads((whole / "manifest.json").read_text())["resumes_to_the_bit"] is False


def test_the_trainer_s_weights_reach_engines_on_other_devices_in_each_step(tmp_path):
    # Two engines and a second rank, which is in no group that sends.
    keys = ["cluster.rollout_gpus_per_node=2", "cluster.gpus_per_node=2"]
    assert_each_step_s_weights(flown(tmp_path, "separate_async", *NONE_AHEAD, *keys))


@pytest.mark.slow
def test_the_trainer_s_weights_reach_engines_on_another_node_in_each_step(tmp_path, monkeypatch):
    """Two raylets of this machine, each with a rank and an engine."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    # Sockets below a long path would be refused.
    with (
        tempfile.TemporaryDirectory(prefix="two", dir="/tmp") as short,
        head(Path(short), 40, 2) as address,
        second(Path(short), address, 40, 2),
    ):
        for name, value in (TOKEN | {"RAY_ADDRESS": address}).items():
            monkeypatch.setenv(name, value)
        assert_each_step_s_weights(flown(tmp_path, "separate_async", *NONE_AHEAD, "cluster.nodes=2"))


def assert_each_step_s_weights(run_dir):
    assert max(values(run_dir, "async/age_max")) == 0
    assert min(values(run_dir, "actor/grad_norm")) > 0
    assert max(values(run_dir, "training/rollout_probs_diff_mean")) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_a_killed_run_loses_no_prompt(tmp_path, mode):
    """24 prompts go through three steps of eight. A lost one would leave a hole that a later prompt fills."""
    process, run_dir = flow(tmp_path, mode), tmp_path / "flow"
    while not complete(run_dir / "checkpoints"):
        assert process.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    assert start(tmp_path, "--resume", str(run_dir)).wait(LIMIT) == 0, (tmp_path / "log").read_text()
    trained = prompts(run_dir)
    assert len(trained) == len({prompt for _, prompt in trained}) == 8 * STEPS
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    flown(undisturbed, mode)
    # Both runs have drawn the same first prompts. At the end some are in flight, and not the same ones.
    assert len({prompt for _, prompt in trained} & {prompt for _, prompt in prompts(undisturbed / "flow")}) >= 8
