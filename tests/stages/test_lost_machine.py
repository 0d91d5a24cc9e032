"""A machine that is lost with its disk, twice: the run comes back from its copy and ends in the same bits."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
import torch
from safetensors.torch import load_file

from judgerlvr.cluster import remains
from judgerlvr.config.load import ROOT
from judgerlvr.runs.checkpoints import SEAL
from judgerlvr.runs.metrics import METRICS, read_metrics
from tests.helpers.leftovers import processes, short_sessions
from tests.helpers.stage_runs import SMALL, write_candidates

pytestmark = [pytest.mark.engine, pytest.mark.slow]
LIMIT = 600
SETTINGS = [*SMALL, "judge.stop.steps=2", "judge.checkpoint.every=1"]


class Machine:
    """A run folder, and processes that are known by the folder of their Ray sessions."""

    def __init__(self, folder, sessions):
        self.folder, self.sessions, self.run = folder, sessions, folder / "runs" / "judge"
        self.bucket = folder / "bucket" / "judge"
        self.log = folder / "command.log"

    def start(self, module, *arguments):
        words = [sys.executable, "-m", f"judgerlvr.{module}", *map(str, arguments)]
        places = {remains.VARIABLE: str(self.sessions), "TMPDIR": str(self.sessions)}
        with self.log.open("w") as log:
            return subprocess.Popen(words, stdout=log, stderr=log, cwd=ROOT, env=os.environ | places)

    def finish(self, module, *arguments):
        assert self.start(module, *arguments).wait(LIMIT) == 0, self.log.read_text()

    def lose(self, process, copied):
        """Wait for a file in the copy of the checkpoints. Then kill every process and remove the run folder."""
        until = time.monotonic() + LIMIT
        while not any((self.bucket / "checkpoints").glob(copied)):
            assert time.monotonic() < until and process.poll() is None, self.log.read_text()
            time.sleep(0.005)
        while found := processes(self.sessions):
            for number in found:
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            process.poll()
        shutil.rmtree(self.run)

    def cut_short(self, step):
        """Leave of a checkpoint's copy what a death in the middle would leave."""
        checkpoint = self.bucket / "checkpoints" / f"global_step_{step}"
        (checkpoint / SEAL).unlink(missing_ok=True)
        largest = max(checkpoint.rglob("*"), key=lambda path: path.stat().st_size)
        os.truncate(largest, largest.stat().st_size // 2)

    def come_back(self):
        self.finish("restore", f"file://{self.bucket}", self.run)
        return ["stage1_judge", "--resume", self.run, "--out", self.folder / "policy"]


@pytest.fixture(scope="module")
def candidates(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "candidates.jsonl"
    write_candidates(path)
    return path


@pytest.fixture(scope="module")
def sessions():
    with short_sessions("l") as base:
        yield base


@pytest.fixture(scope="module")
def machine(candidates, sessions, tmp_path_factory):
    """A run that lost its machine behind the copy of step 1, and again within the copy of step 2."""
    machine = Machine(tmp_path_factory.mktemp("machine"), sessions)
    words = [*SETTINGS, f"judge.data.responses=[{candidates}]", f"runs={machine.folder / 'runs'}"]
    upload = f"judge.checkpoint.upload=file://{machine.folder / 'bucket'}"
    first = machine.start("stage1_judge", *words, upload, "--out", machine.folder / "policy")
    machine.lose(first, f"global_step_1/{SEAL}")
    machine.lose(machine.start(*machine.come_back()), "global_step_2/*")
    machine.cut_short(2)
    machine.finish(*machine.come_back())
    return machine


@pytest.fixture(scope="module")
def quiet(candidates, sessions, tmp_path_factory):
    folder = tmp_path_factory.mktemp("quiet")
    quiet = Machine(folder, sessions)
    words = [*SETTINGS, f"judge.data.responses=[{candidates}]", f"runs={folder / 'runs'}"]
    quiet.finish("stage1_judge", *words, "--out", folder / "policy")
    return quiet


def test_the_weights_are_those_of_a_quiet_run(machine, quiet):
    there, here = (load_file(one.folder / "policy" / "model.safetensors") for one in (machine, quiet))
    assert there.keys() == here.keys() and all(torch.equal(there[name], here[name]) for name in here)


def test_each_step_has_one_row(machine):
    steps = [row.step for row in read_metrics(machine.run / METRICS) if row.is_training]
    assert steps == [1, 2]


def test_the_copy_of_the_end_comes_back_with_the_same_policy(machine, tmp_path):
    machine.finish("restore", f"file://{machine.bucket}", tmp_path / "judge")
    checkpoint = tmp_path / "judge" / "checkpoints" / "global_step_2"
    machine.finish("export", checkpoint)
    there, here = (load_file(folder / "policy" / "model.safetensors") for folder in (machine.folder, checkpoint))
    assert all(torch.equal(there[name], here[name]) for name in here)
