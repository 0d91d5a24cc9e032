"""Twelve faults that users of other trainers reported in public, by number. None happens here."""

import errno
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter
from torchdata.stateful_dataloader import StatefulDataLoader

from judgerlvr.cluster import remains
from judgerlvr.cluster.session import PREFIX, session
from judgerlvr.config.effective import configure
from judgerlvr.config.guards import Guards
from judgerlvr.engine.in_training.guards import GuardState, GuardTripped
from judgerlvr.engine.signals import Interrupted, SignalHandlers
from judgerlvr.models.directory import pick_device
from judgerlvr.pipeline import stages
from judgerlvr.runs.checkpoints import SEAL, complete
from judgerlvr.runs.resume_state import trim_metrics
from judgerlvr.runs.stage import STOP, TENSORBOARD
from judgerlvr.stage2_generate import main
from tests.helpers.guard_checks import check
from tests.helpers.run_folders import step_row
from tests.pipeline.test_again import COMMAND, seal


def test_01_a_nan_step_ends_the_run():
    with pytest.raises(GuardTripped, match="guard finite"):
        check(Guards(), step_row(more={"actor/grad_norm": float("nan")}), GuardState())


def test_02_a_data_set_smaller_than_a_batch_is_refused_before_the_engines(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stages, "_train", lambda *_: pytest.fail("training began"))
    assert main(["data.tiny_train=8"]) == 2
    assert "24 prompts a step, and the training data has 8" in capsys.readouterr().err


def test_03_a_moved_run_folder_goes_on(trained, tmp_path):
    main(COMMAND)
    seal(tmp_path / "runs" / "mine", 2)
    shutil.move(tmp_path / "runs", tmp_path / "elsewhere")
    assert main(["--resume", str(tmp_path / "elsewhere" / "mine"), "--out", "ckpt/other"]) == 0
    assert trained[-1] == ("global_step_2", 4)


@pytest.mark.parametrize(
    ("nodes", "device"),
    [
        ([{"CPU": 8.0}, {"CPU": 64.0, "GPU": 8.0, "accelerator_type:H100": 1.0}], "gpu"),
        ([{"CPU": 16.0, "GPU": 1.0}], "cpu"),
    ],
)
def test_04_a_head_node_without_a_gpu_asks_its_cluster(monkeypatch, nodes, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("judgerlvr.cluster.ray.resources_of", lambda address: nodes)
    assert pick_device("auto", address="10.0.0.1:6379") == device
    assert pick_device("gpu", address="10.0.0.1:6379") == "gpu"


def test_05_sigterm_with_grace_lets_the_step_be_sealed(make_stage, tmp_path):
    handled = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in handled}
    SignalHandlers(make_stage(overrides=["generate.stop.grace_seconds=30"])).install()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        assert (tmp_path / STOP).exists()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def test_05_sigterm_without_grace_names_what_is_sealed_and_the_command(monkeypatch, tmp_path, capsys):
    def end(stage, problems):
        seal(stage.run_dir, 2)
        raise Interrupted(signal.SIGTERM)

    real_train(monkeypatch, tmp_path, end)
    assert main(COMMAND) == 128 + signal.SIGTERM
    last = capsys.readouterr().err.splitlines()[-1]
    run = tmp_path / "runs" / "mine"
    assert "sealed up to step 2, 0 steps lost" in last
    assert last.endswith(f"python -m judgerlvr.stage2_generate --resume {run} --out {tmp_path / 'ckpt' / 'generate'}")


def real_train(monkeypatch, folder, end):
    """Commands in ``folder`` whose training is ``end``. Everything around training is real."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(stages, "_train_to_the_end", end)


def test_06_two_jobs_in_a_run_folder(trained, tmp_path, capsys):
    main(COMMAND)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        with stages.held(tmp_path / "runs" / "mine"):
            os.write(write, b"x")
            signal.pause()
    os.read(read, 1)
    try:
        assert main(COMMAND) == 2
        assert f"in use by process {child}" in capsys.readouterr().err
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_07_yaml_booleans_stay_words(tmp_path):
    (tmp_path / "c.yaml").write_text("name: no\njudge: {data: {verdicts: [Yes, No]}}\n")
    config = configure(tmp_path / "c.yaml", []).config
    assert (config.name, list(config.judge.data.verdicts)) == ("no", ["Yes", "No"])


def test_08_tensorboard_shows_each_step_once_after_a_resume(tmp_path):
    def write(steps, value):
        with SummaryWriter(str(tmp_path / TENSORBOARD)) as writer:
            for step in steps:
                writer.add_scalar("reward", value, step)

    write((1, 2, 3), 0.0)
    (tmp_path / "checkpoints" / "global_step_2").mkdir(parents=True)
    trim_metrics(tmp_path, tmp_path / "checkpoints" / "global_step_2")
    write((3, 4), 1.0)
    events = EventAccumulator(str(tmp_path / TENSORBOARD))
    events.Reload()
    # Files of one second are read in the order of their names.
    assert sorted((event.step, event.value) for event in events.Scalars("reward")) == [(1, 0), (2, 0), (3, 1), (4, 1)]


def test_09_a_full_disk_is_the_last_line(monkeypatch, tmp_path, capfd):
    def end(stage, problems):
        raise OSError(errno.ENOSPC, "No space left on device", str(stage.checkpoints / "model.pt"))

    real_train(monkeypatch, tmp_path, end)
    assert main(COMMAND) == 1
    printed = capfd.readouterr()
    assert printed.err.splitlines()[-1].endswith("model.pt: no space left on the device; " + REMEDY)
    assert "nothing sealed yet" in printed.out.splitlines()[-1]
    assert "--resume" in printed.out.splitlines()[-1]
    assert "Traceback" not in printed.out + printed.err


REMEDY = "free some space, then give the same command again"


def test_10_a_killed_run_leaves_no_process_and_no_socket(monkeypatch):
    base = Path("/tmp") / f"z{os.getpid()}"
    base.mkdir()
    monkeypatch.setenv(remains.VARIABLE, str(base))
    monkeypatch.setattr(remains, "PATIENCE", 0.1)
    child = os.fork()
    if not child:
        with session(None):
            subprocess.Popen(["sleep", "60"])
            signal.pause()
    deadline = time.monotonic() + 10
    while not (found := [f for f in base.glob(f"{PREFIX}*") if remains.processes(f)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while found[0].exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert remains.processes(found[0]) == []
    base.rmdir()


def test_11_a_half_written_checkpoint_is_passed_over(trained, tmp_path):
    main(COMMAND)
    seal(tmp_path / "runs" / "mine", 2)
    seal(tmp_path / "runs" / "mine", 3)
    (tmp_path / "runs" / "mine" / "checkpoints" / "global_step_3" / SEAL).unlink()
    assert [path.name for path in complete(tmp_path / "runs" / "mine" / "checkpoints")] == ["global_step_2"]
    main(COMMAND)
    assert trained[-1] == ("global_step_2", 4)


class Prompts:
    """verl's loader and verl's way of drawing rows, over the numbers of rows."""

    def __init__(self, rows, batch):
        from verl.trainer.ppo.utils import create_rl_sampler

        class Data(dict):
            shuffle = True

        sampler = create_rl_sampler(Data(seed=0), list(range(rows)))
        self.loader = StatefulDataLoader(list(range(rows)), batch_size=batch, drop_last=True, sampler=sampler)
        self.iterator = None

    def draw(self):
        self.iterator = self.iterator or iter(self.loader)
        try:
            return next(self.iterator).tolist()
        except StopIteration:
            self.iterator = iter(self.loader)
            return next(self.iterator).tolist()


@pytest.mark.parametrize("batch", [1, 2], ids=["dynamic sampling", "whole batches"])
@pytest.mark.parametrize("rows", [6, 7])
def test_12_a_resume_at_any_place_of_any_epoch_draws_the_same_prompts(rows, batch):
    for drawn in range(2 * rows + 1):
        whole, resumed = Prompts(rows, batch), Prompts(rows, batch)
        for _ in range(drawn):
            whole.draw()
        resumed.loader.load_state_dict(whole.loader.state_dict())
        assert [resumed.draw() for _ in range(rows)] == [whole.draw() for _ in range(rows)]
