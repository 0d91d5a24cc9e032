"""A fork of the server does what a new interpreter would do: words, descriptors, environment, signals, exit status."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from judgerlvr.cluster import remains
from judgerlvr.cluster.forking import start

SHOW = "import json, os, sys; print(json.dumps([sys.argv, os.getcwd(), os.environ.get('MARK'), os.getpid()]))"
WAIT = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"


@pytest.fixture(scope="module")
def server():
    """The program that stands for python, and the server's process, which knows a module that it has imported."""
    patch = pytest.MonkeyPatch()
    patch.delenv(start.VARIABLE, raising=False)
    start.start_server(["json.tool"], {})
    yield start.forking_python(), start._own[-1]
    start._own.pop().kill()
    patch.undo()
    os.environ.pop(start.VARIABLE, None)


def lines(program, *words, **options):
    return subprocess.run([program, *words], capture_output=True, text=True, check=True, **options).stdout


def waiting(program, **options):
    """A launcher and the fork that it stands for."""
    launcher = subprocess.Popen([program, "-c", WAIT], stdout=subprocess.PIPE, text=True, **options)
    return launcher, int(launcher.stdout.readline())


def gone(pid, seconds=5.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not os.path.exists(f"/proc/{pid}"):  # noqa: PTH110
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("form", ["code", "file", "module"])
def test_the_same_words_give_the_same_program(server, tmp_path, form):
    file = tmp_path / "shown.py"
    file.write_text(SHOW)
    words = {"code": ["-c", SHOW], "file": [str(file)], "module": ["-m", "shown"]}[form]
    options = {"cwd": tmp_path, "env": {**os.environ, "MARK": "seen"}}
    forked, fresh = (
        json.loads(lines(program, *words, "a", "b c", **options)) for program in (server[0], sys.executable)
    )
    assert forked[:3] == fresh[:3]


def test_what_the_server_has_imported_is_there(server):
    assert lines(server[0], "-c", "import sys; print('json.tool' in sys.modules)") == "True\n"


def test_standard_input_and_further_descriptors_arrive(server):
    read, write = os.pipe()
    code = f"import os, sys; os.write({write}, sys.stdin.read().encode())"
    subprocess.run([server[0], "-c", code], input="given", text=True, check=True, pass_fds=[write])
    os.close(write)
    assert os.read(read, 100) == b"given"
    os.close(read)


def test_exit_status_and_error_are_the_programs(server):
    done = subprocess.run([server[0], "-c", "raise SystemExit(7)"], check=False)
    assert done.returncode == 7
    failed = subprocess.run([server[0], "-c", "1/0"], capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert failed.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_at_exit_runs_in_the_fork(server):
    assert lines(server[0], "-c", "import atexit; atexit.register(print, 'end')") == "end\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_a_signal_to_the_launcher_ends_the_fork_by_that_signal(server, number):
    launcher, pid = waiting(server[0])
    launcher.send_signal(number)
    assert launcher.wait(5) == -number
    assert gone(pid)


def test_an_interrupt_is_a_keyboard_interrupt(server):
    launcher, _ = waiting(server[0], stderr=subprocess.PIPE)
    launcher.send_signal(signal.SIGINT)
    assert launcher.communicate()[1].endswith("KeyboardInterrupt\n")


def test_a_killed_launcher_takes_the_fork_along(server):
    launcher, pid = waiting(server[0])
    launcher.kill()
    launcher.wait()
    assert gone(pid)


def test_a_killed_fork_kills_the_launcher(server):
    launcher, pid = waiting(server[0])
    os.kill(pid, signal.SIGKILL)
    assert launcher.wait(5) == -signal.SIGKILL


def test_no_two_forks_draw_the_same(server):
    code = "import random; print(random.random())"
    assert lines(server[0], "-c", code) != lines(server[0], "-c", code)


def test_a_fork_is_among_the_processes_of_its_session(server, tmp_path):
    (tmp_path / remains.OWNER).touch()
    launcher, pid = waiting(server[0], env={**os.environ, remains.VARIABLE: str(tmp_path)})
    assert pid in remains.processes(tmp_path)
    remains.remove(tmp_path, patience=0)
    assert launcher.wait(5) == -signal.SIGKILL


def test_without_a_server_a_new_interpreter_runs(tmp_path):
    start._write_python(tmp_path)
    program = str(tmp_path / start.PYTHON)
    assert json.loads(lines(program, "-c", SHOW, "a"))[0] == ["-c", "a"]


def test_the_server_ends_with_its_owner_and_takes_forks_along():
    code = (
        "import subprocess, sys; from judgerlvr.cluster.forking.start import forking_python, start_server\n"
        f"start_server([], {{}}); p = subprocess.Popen([forking_python(), '-c', {WAIT!r}]); p.wait()"
    )
    environment = {name: value for name, value in os.environ.items() if name != start.VARIABLE}
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    pid = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    assert gone(pid)


def test_a_command_below_another_starts_no_second_server(server):
    code = "from judgerlvr.cluster.forking import start; start.start_server([], {}); print(len(start._own))"
    assert lines(server[0], "-c", code) == "0\n"
