"""The fork server ends with its owner, with its folder and all that it has made."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from judgerlvr.cluster.forking import start
from tests.helpers.forks import lines, until

OWNER = """
import sys, time
from judgerlvr.cluster.forking.start import forking_python, start_server
start_server(sys.argv[1:], {})
print(forking_python(), flush=True)
time.sleep(60)
"""


def owner(*modules, **variables):
    """A process that has started a server, and the server's folder."""
    environment = {key: value for key, value in os.environ.items() if key != start.VARIABLE} | variables
    command = [sys.executable, "-c", OWNER, *modules]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    return process, Path(process.stdout.readline().strip()).parent


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_folder_goes_with_the_owner(number):
    process, folder = owner()
    assert folder.is_dir() and folder.name.startswith(start.PREFIX)
    process.send_signal(number)
    process.wait()
    assert until(lambda: not folder.exists())


def test_a_server_that_fails_leaves_its_launchers_and_still_removes_the_folder():
    process, folder = owner("no_such_module")
    for _ in range(2):
        assert lines(folder / start.PYTHON, "-c", "print('real')") == "real\n"
    process.kill()
    process.wait()
    assert until(lambda: not folder.exists())


def processes_that_name(word):
    """Numbers of the processes whose command line holds a word."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found += [int(path.parent.name)] if word.encode() in path.read_bytes() else []
    return found


def test_a_server_that_still_imports_dies_with_the_owner(tmp_path):
    (tmp_path / "imports_for_a_minute.py").write_text("import time; time.sleep(60)")
    process, _ = owner("imports_for_a_minute", PYTHONPATH=f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    assert until(lambda: len(processes_that_name("imports_for_a_minute")) == 2)
    time.sleep(1)
    process.kill()
    process.wait()
    assert until(lambda: not processes_that_name("imports_for_a_minute"))


WITHOUT_SERVER = """
from judgerlvr.cluster.forking import start
start.start_server([], {})
print(start.forking_python(), flush=True)
start._own[0].kill()
"""


def test_the_folder_goes_with_the_owner_behind_a_killed_server():
    environment = {key: value for key, value in os.environ.items() if key != start.VARIABLE}
    command = [sys.executable, "-c", WITHOUT_SERVER]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.startswith("/") and not Path(done.stdout.strip()).parent.exists()


SEMAPHORE = """
import multiprocessing, time
semaphore = multiprocessing.get_context("spawn").Semaphore()
print(semaphore._semlock.name, flush=True)
time.sleep(60)
"""


def test_a_semaphore_of_a_fork_goes_with_the_owner():
    process, folder = owner()
    fork = subprocess.Popen([folder / start.PYTHON, "-c", SEMAPHORE], stdout=subprocess.PIPE, text=True)
    semaphore = Path("/dev/shm") / f"sem.{fork.stdout.readline().strip().lstrip('/')}"
    assert semaphore.exists()
    process.kill()
    process.wait()
    assert until(lambda: not semaphore.exists())
    fork.kill()
    fork.wait()


def test_a_long_temporary_folder_has_a_server_too(tmp_path):
    long = tmp_path / ("x" * 120)
    long.mkdir()
    process, folder = owner("json.tool", TMPDIR=str(long), RAY_TMPDIR="")
    assert lines(folder / start.PYTHON, "-c", "import sys; print('json.tool' in sys.modules)") == "True\n"
    process.kill()
    process.wait()


CHILDREN = """
import os, pathlib, time
# The tracker's launcher is a child while it starts.
time.sleep(1)
def stat(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
everyone = [path.name for path in pathlib.Path("/proc").glob("[0-9]*")]
print(*[pid for pid in everyone if os.path.exists(f"/proc/{pid}") and stat(pid)[1] == str(os.getpid())], flush=True)
time.sleep(60)
"""


def test_a_semaphore_of_a_fork_goes_also_where_the_children_are_killed_with_the_fork():
    """As Ray ends a worker. The tracker of semaphores outlives the fork, to remove what the fork has made."""
    process, folder = owner()
    code, environment = SEMAPHORE.replace("time.sleep(60)", CHILDREN), os.environ | {start.VARIABLE: str(folder)}
    fork = subprocess.Popen([folder / start.PYTHON, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    semaphore = Path("/dev/shm") / f"sem.{fork.stdout.readline().strip().lstrip('/')}"
    assert semaphore.exists()
    for child in fork.stdout.readline().split():
        os.kill(int(child), signal.SIGKILL)
    fork.kill()
    assert until(lambda: not semaphore.exists())
    process.kill()
    process.wait()
