"""A run folder holds a single process at a time. The lock dies with the process."""

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from judgerlvr.config.load import ROOT
from judgerlvr.runs.lock import LOCK, held
from rewards.errors import InputError

HOLD = (
    "import sys, time\nfrom pathlib import Path\nfrom judgerlvr.runs.lock import held\n"
    "with held(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(600)\n"
)


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_caller_learns_host_and_process(tmp_path, holder):
    with pytest.raises(InputError, match=f"process {holder.pid} on {socket.gethostname()}"), held(tmp_path):
        pass


def test_a_kill_releases_the_lock(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with held(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()


def test_the_lock_is_free_after_its_block(tmp_path):
    for _ in range(2):
        with held(tmp_path):
            pass


@pytest.mark.parametrize(
    ("host", "pid", "refused"),
    [(socket.gethostname(), os.getpid(), True), (socket.gethostname(), 2**22 - 3, False), ("another", 1, True)],
)
def test_without_locks_the_note_counts(tmp_path, monkeypatch, host, pid, refused):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", no_locks)
    (tmp_path / LOCK).write_text(json.dumps({"host": host, "pid": pid}))
    if refused:
        with pytest.raises(InputError, match="in use by"), held(tmp_path):
            pass
    else:
        with held(tmp_path):
            pass


@pytest.mark.parametrize("note", ["", "[1]", "{", '{"pid": "x"}'])
def test_a_damaged_note_does_not_block(tmp_path, note):
    (tmp_path / LOCK).write_text(note)
    with held(tmp_path):
        pass
