"""Commands of a killed experiment: none goes on by itself, holds a run's lock and trains beside the next call."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from judgerlvr.cluster.forking.start import PYTHON, VARIABLE

# An experiment whose only command sleeps. The command is no module of the product, so that it starts at once.
EXPERIMENT = """
from judgerlvr.experiments import commands
commands._words = lambda module, arguments: ["-c", "import time; print('sleeping', flush=True); time.sleep(60)"]
commands.call("stage1_judge")
"""


def children(process: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_command_ends_with_the_killed_experiment():
    experiment = subprocess.Popen([sys.executable, "-c", EXPERIMENT], stdout=subprocess.PIPE, text=True)
    while experiment.stdout.readline() != "sleeping\n":
        assert experiment.poll() is None
    command = children(experiment.pid)[0]
    experiment.kill()
    experiment.wait()
    until = time.monotonic() + 5
    while is_alive(command) and time.monotonic() < until:
        time.sleep(0.05)
    left = is_alive(command)
    if left:
        os.kill(command, signal.SIGKILL)
    assert not left


def test_a_command_ends_with_the_killed_experiment_beside_another_process_s_fork_server(tmp_path, monkeypatch):
    # A fork of that server would outlive the experiment.
    program = tmp_path / PYTHON
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    program.chmod(0o700)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    test_a_command_ends_with_the_killed_experiment()
