"""A folder goes with the process that made it, whichever of the processes around it are killed at once."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from judgerlvr.cluster import own_folder, remains
from judgerlvr.cluster.forking import start
from judgerlvr.cluster.session import PREFIX
from tests.helpers.forks import until

PLAIN = "judge-own-"
# How each kind of folder is made, by the folder's prefix.
MAKERS = {
    PLAIN: f"from judgerlvr.cluster.own_folder import make_folder; kept = make_folder({PLAIN!r}, 2)",
    start.PREFIX: "from judgerlvr.cluster.forking.start import start_server; start_server([], {})",
    PREFIX: "from judgerlvr.cluster.session import session; kept = session(None); kept.__enter__()",
}
# Processes that die with the owner in one stroke, by words of their command lines.
SERVER, REMOVER = start.SERVER.splitlines()[0], own_folder.REMOVER.splitlines()[0]
STROKES = {"owner": (), "owner and server": (SERVER,), "owner and remover": (REMOVER,), "all": (SERVER, REMOVER)}


@pytest.fixture
def base(monkeypatch):
    """An empty folder with a short name, where folders are made."""
    with tempfile.TemporaryDirectory(prefix="o", dir="/tmp") as folder:
        monkeypatch.setenv(remains.VARIABLE, folder)
        monkeypatch.delenv(start.VARIABLE, raising=False)
        yield Path(folder)


def owner(prefix):
    """A process that has made a folder of the kind, and waits."""
    code = f"{MAKERS[prefix]}\nprint(flush=True); import time; time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def children(owned):
    """Command lines of the owner's children, by process."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = (path / "stat").read_text().rpartition(")")[2].split()[1]
            line = (path / "cmdline").read_text(errors="replace")
        except OSError:
            continue
        if parent == str(owned.pid):
            found[int(path.name)] = line
    return found


def strike(owned, words):
    """Kill all in one stroke, as the kernel does for want of memory: nobody sees another's end and goes on."""
    # A command line is empty for a moment while a program starts.
    assert until(lambda: "" not in children(owned).values())
    beside = [pid for pid, line in children(owned).items() if any(word in line for word in words)]
    pids = [*beside, owned.pid]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)
    owned.wait()


@pytest.mark.parametrize("prefix", MAKERS)
@pytest.mark.parametrize("stroke", ["owner", "owner and server"])
def test_nothing_is_left(base, prefix, stroke):
    strike(owner(prefix), STROKES[stroke])
    assert until(lambda: not list(base.iterdir()))


@pytest.mark.parametrize("prefix", MAKERS)
@pytest.mark.parametrize("stroke", ["owner and remover", "all"])
def test_the_next_start_removes_what_nobody_was_left_to_remove(base, prefix, stroke):
    strike(owner(prefix), STROKES[stroke])
    (left,) = base.iterdir()
    following = owner(prefix)
    assert not left.exists()
    strike(following, ())
    assert until(lambda: not list(base.iterdir()))


def test_a_process_does_not_sweep_its_own_folder(base):
    with own_folder.own_folder(PLAIN) as first, own_folder.own_folder(PLAIN):
        assert first.exists()


def test_a_folder_is_never_seen_before_its_lock(base, monkeypatch):
    """A sweep between the making and the lock must not take the folder for a dead process's."""
    seen = []
    real = remains.fcntl.lockf

    def looked_at(descriptor, how):
        if how == remains.fcntl.LOCK_EX:
            seen.extend(base.glob(f"*/{remains.OWNER}"))
        return real(descriptor, how)

    monkeypatch.setattr(remains.fcntl, "lockf", looked_at)
    with own_folder.own_folder(PLAIN):
        assert seen == []


def test_the_folder_goes_with_the_block_also_behind_an_error(base):
    with pytest.raises(ZeroDivisionError), own_folder.own_folder(PLAIN):
        raise ZeroDivisionError
    assert list(base.iterdir()) == []
