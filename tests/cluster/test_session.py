"""A private Ray session's folder and processes go with the session, also when the owner is killed."""

import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from judgerlvr.cluster import remains, session
from judgerlvr.cluster.session import PARTS, PREFIX, Session
from judgerlvr.cluster.socket_folder import base_of, socket_folder

NAMES = f"{PREFIX}*"


@pytest.fixture
def base(monkeypatch):
    """A short folder for sessions, apart from other processes' sessions."""
    folder = Path("/tmp") / f"s{os.getpid()}"
    folder.mkdir()
    monkeypatch.setenv(remains.VARIABLE, str(folder))
    monkeypatch.setattr(remains, "PATIENCE", 0.1)
    yield folder
    for left in folder.glob(NAMES):
        remains.remove(left, patience=0)
    folder.rmdir()


def until(condition, seconds=10.0):
    """Whether the condition held within the seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def child(*command):
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_folder_and_processes_go_with_the_session(base):
    with session.session(None) as opened:
        (opened.folder / "ckpt_1.lock").touch()
        worker = child("sleep", "60")
        assert until(lambda: remains.processes(opened.folder) == [worker.pid])
    assert worker.wait(5) == -signal.SIGKILL
    assert list(base.glob(NAMES)) == []


def test_semaphores_of_killed_processes_are_removed(base):
    """Python's tracker removes them, if the tracker is not killed along with its processes."""
    code = """
import multiprocessing, time
semaphore = multiprocessing.get_context("spawn").Semaphore()
print(semaphore._semlock.name, flush=True)
time.sleep(60)
"""
    with session.session(None):
        worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        name = f"sem.{worker.stdout.readline().strip().lstrip('/')}"
        assert (Path("/dev/shm") / name).exists()
    assert worker.wait(5) == -signal.SIGKILL
    assert not (Path("/dev/shm") / name).exists()


@pytest.mark.parametrize("shut_down", [False, True], ids=["processes live to the end", "processes end at the shutdown"])
def test_semaphores_go_also_where_their_tracker_was_killed(base, monkeypatch, shut_down):
    """As Ray does, which kills the children of a worker that ends."""
    code = """
import multiprocessing, os, signal, time
from multiprocessing import resource_tracker
semaphore = multiprocessing.get_context("spawn").Semaphore()
os.kill(resource_tracker._resource_tracker._pid, signal.SIGKILL)
print(semaphore._semlock.name, flush=True)
time.sleep(60)
"""
    with session.session(None):
        worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        if shut_down:
            monkeypatch.setattr(session, "_shutdown", lambda: (worker.kill(), worker.wait()))
        name = f"sem.{worker.stdout.readline().strip().lstrip('/')}"
        assert (Path("/dev/shm") / name).exists()
    worker.wait(5)
    assert not (Path("/dev/shm") / name).exists()


def test_memory_of_other_names_and_of_other_processes_is_left_alone(base):
    theirs = Path("/dev/shm") / f"theirs-{os.getpid()}"
    theirs.write_bytes(b"kept")
    semaphore = multiprocessing.get_context("spawn").Semaphore()
    code = (
        f"import mmap, time; m = mmap.mmap(open({str(theirs)!r}, 'r+b').fileno(), 4); print(flush=True); time.sleep(9)"
    )
    with session.session(None):
        worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        worker.stdout.readline()
    worker.wait(5)
    found = theirs.read_bytes(), (Path("/dev/shm") / f"sem.{semaphore._semlock.name.lstrip('/')}").exists()
    theirs.unlink()
    assert found == (b"kept", True)


def test_workers_write_their_temporary_files_into_the_session(base):
    with session.session(None) as opened:
        code = "import tempfile; print(tempfile.gettempdir())"
        shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert shown.stdout.strip() == str(opened.folder)


def test_variables_are_put_back(base):
    before = dict(os.environ)
    with session.session(None):
        assert os.environ["TMPDIR"] != before.get("TMPDIR")
    assert dict(os.environ) == before


def test_a_private_session_starts_no_workers_ahead_unless_the_user_says_so(base, monkeypatch):
    name = "RAY_prestart_worker_first_driver"
    shown = []
    for wanted in (None, "1"):
        if wanted:
            monkeypatch.setenv(name, wanted)
        with session.session(None):
            shown.append(os.environ[name])
    assert shown == ["0", "1"]


def test_a_killed_owner_leaves_nothing(base):
    """The owner of the session is a child that dies by the signal that no handler sees."""
    pid = os.fork()
    if not pid:
        with session.session(None):
            child("sleep", "60")
            signal.pause()
    try:
        assert until(lambda: any(remains.processes(folder) for folder in base.glob(NAMES)))
        folder = next(base.glob(NAMES))
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert until(lambda: not folder.exists() and not remains.processes(folder))


def test_what_a_dead_machine_left_is_swept(base):
    old = base / f"{PREFIX}old"
    old.mkdir()
    (old / remains.OWNER).touch()
    with session.session(None):
        assert not old.exists()


def test_a_living_session_is_not_swept(base):
    with session.session(None) as opened:
        other = os.fork()
        if not other:
            remains.sweep(base, PREFIX)
            os._exit(0)
        os.waitpid(other, 0)
        assert opened.folder.exists()


def test_a_long_temporary_folder_is_not_used(monkeypatch):
    monkeypatch.setenv(remains.VARIABLE, "/x" * 40)
    assert base_of(PREFIX, session.BEHIND) == Path("/tmp")


@pytest.mark.parametrize("behind", [2, 30, session.BEHIND])
def test_every_socket_of_a_folder_can_be_bound(monkeypatch, behind):
    """Temporary folders of all lengths around the longest that fits."""
    for length in range(100 - behind - len(PREFIX), 115 - behind - len(PREFIX)):
        short = Path(tempfile.gettempdir())
        root = short / ("x" * max(1, length - len(f"{short}/") - 8))
        root.mkdir(exist_ok=True)
        monkeypatch.setenv(remains.VARIABLE, str(root))
        folder = socket_folder(PREFIX, behind)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"{folder}/{'s' * (behind - 1)}")
        shutil.rmtree(folder)
        root.rmdir()


def test_a_zombie_with_an_empty_note_is_no_process_of_a_session(tmp_path):
    zombie = child("true")
    assert until(lambda: Path(f"/proc/{zombie.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
    (tmp_path / remains.FORKS).mkdir()
    (tmp_path / remains.FORKS / str(zombie.pid)).touch()
    assert remains.processes(tmp_path) == []
    zombie.wait()


def test_a_note_that_vanishes_is_no_error(tmp_path, monkeypatch):
    """The folder is removed between the look for a note and its reading."""
    monkeypatch.setattr(Path, "exists", lambda path: True)
    assert not remains._is_fork(tmp_path, os.getppid())


@pytest.mark.parametrize("part", PARTS)
def test_the_signal_that_killed_a_server_is_named(tmp_path, part):
    program = tmp_path / part
    program.symlink_to("/bin/sleep")
    server = child(str(program), "60")
    assert until(lambda: Path(f"/proc/{server.pid}/comm").read_text().strip() == part)
    assert Session().dead_part() is None
    server.kill()
    assert until(lambda: Session().dead_part() is not None)
    assert Session().dead_part() == f"Ray's {part} on this machine (process {server.pid}) was killed by SIGKILL"
    server.wait()


def test_a_cluster_of_others_keeps_its_folder(monkeypatch):
    monkeypatch.setattr(session, "make_folder", lambda *given: pytest.fail("a folder was made"))
    with session.session("10.0.0.1:6379") as joined:
        assert joined.folder is None


def test_a_server_that_died_before_the_session_is_no_fault_of_it(base, tmp_path):
    """A start of Ray that fails leaves dead servers, which are children of the process still."""
    server = tmp_path / PARTS[0]
    server.write_text("#!/bin/sh\nexit 1\n")
    server.chmod(0o755)
    with session.session(None) as first:
        dead = child(str(server))
        assert until(first.dead_part)
        with session.session(None) as second:
            assert second.dead_part() is None
    dead.wait()
