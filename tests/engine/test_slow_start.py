"""A start that never ends is told in one line, with what Ray cannot give."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from judgerlvr.config.load import ROOT
from judgerlvr.engine import runner
from judgerlvr.runs.folder import FAILURE

# A placement group that asks for a GPU where there is none, as verl's would.
PENDING = """
import ray
from judgerlvr.engine.runner import _slow_start
ray.init(address="local", num_cpus=1, num_gpus=0, include_dashboard=False, log_to_driver=False)
group = ray.util.placement_group([{"CPU": 3, "GPU": 1}])
group.wait(2)
print(_slow_start(7.0))
"""


class Ended(BaseException):
    pass


@pytest.fixture
def watched(make_stage, monkeypatch):
    """Runs the watchdog until it ends the process; returns the cause that the run folder keeps."""

    def watch(training, *overrides):
        def end(_):
            raise Ended

        stage = make_stage(overrides=list(overrides))
        monkeypatch.setattr(runner, "WATCH_SECONDS", 0.01)
        monkeypatch.setattr(runner, "pending_bundles", list)
        monkeypatch.setattr(runner.os, "_exit", end)
        with pytest.raises(Ended):
            runner._watch(SimpleNamespace(heartbeat=-1e6, training=training), stage)
        return json.loads((stage.run_dir / FAILURE).read_text())["cause"]

    return watch


def test_before_training_the_guard_of_the_start_counts(watched):
    assert watched(False).startswith("guard start_minutes: training has not begun after")


def test_in_training_the_guard_of_steps_counts(watched):
    assert watched(True, "guards.start_minutes.limit=1e6").startswith("guard hang_minutes: no step finished for")


@pytest.mark.engine
def test_a_pending_placement_group_is_named():
    command = [sys.executable, "-c", PENDING]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, check=True)
    line = done.stdout.strip().splitlines()[-1]
    assert "Ray cannot place [{" in line and "'GPU': 1.0" in line and "'CPU': 3.0" in line
    assert "the cluster has {'CPU': 1.0, 'GPU': 0}" in line
