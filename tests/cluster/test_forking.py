"""A fork of the server does what a new interpreter would do: words, descriptors, environment, signals, exit status."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from judgerlvr.cluster import remains
from judgerlvr.cluster.forking import launch, start
from tests.helpers.forks import lines

SHOW = "import json, os, sys; print(json.dumps([sys.argv, os.getcwd(), os.environ.get('MARK'), os.getpid()]))"
WAIT = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"


@pytest.fixture(scope="module")
def server():
    """The program that stands for python, and the server's process, which knows a module that it has imported."""
    patch = pytest.MonkeyPatch()
    patch.delenv(start.VARIABLE, raising=False)
    start.start_server(["json.tool"], {})
    yield start.forking_python(), start._own[-1]
    start._own[-1].stdin.close()
    start._own.pop().wait(10)
    patch.undo()
    os.environ.pop(start.VARIABLE, None)


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


# Every flag in sys.flags, and the spellings that change the flag.
SPELLINGS = {
    "debug": ["-d"],
    "inspect": ["-i"],
    "interactive": ["-i"],
    "optimize": ["-O", "-OO"],
    "dont_write_bytecode": ["-B"],
    "no_user_site": ["-s"],
    "no_site": ["-S"],
    "ignore_environment": ["-E"],
    "verbose": ["-v"],
    "bytes_warning": ["-b", "-bb"],
    "quiet": ["-q"],
    "hash_randomization": ["-R"],
    "isolated": ["-I"],
    "dev_mode": ["-X dev"],
    "utf8_mode": ["-X utf8"],
    "warn_default_encoding": ["-X warn_default_encoding"],
    "safe_path": ["-P"],
    "int_max_str_digits": ["-X int_max_str_digits=5000"],
}
UNSEEN = ["-u", "-x", "-Wignore", "-W ignore", "-Xdev", "-uB", "--check-hash-based-pycs always"]
FLAGS = sorted({spelling for spellings in SPELLINGS.values() for spelling in spellings} | set(UNSEEN) - {"-x"})


def test_every_flag_of_the_interpreter_is_tried():
    assert set(SPELLINGS) == {name for name in dir(sys.flags) if not name.startswith(("_", "n_"))} - {"count", "index"}


@pytest.mark.parametrize("flag", FLAGS)
def test_a_program_behind_any_flag_runs_as_elsewhere(server, flag):
    """``multiprocessing`` hands the interpreter's flags to the program that stands for python."""
    # A fork has the server's flags, so known flags are compared by the words behind.
    shown = "sys.argv" if flag in launch.FLAGS else "sys.argv, sys.flags, sys.warnoptions"
    words = [*flag.split(" "), "-c", f"import sys; print({shown}, flush=True)", "a"]
    options = {"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    assert lines(server[0], *words, **options) == lines(sys.executable, *words, **options)


@pytest.mark.parametrize("words", [[], ["-"], ["-c"], ["-m"], ["-V"], ["missing.py"], ["-cprint(1)"], ["-mthis"]])
def test_other_words_do_what_they_do_elsewhere(server, words):
    options = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "check": False}
    forked, fresh = (subprocess.run([program, *words], **options) for program in (server[0], sys.executable))
    assert (forked.returncode, forked.stdout, forked.stderr) == (fresh.returncode, fresh.stdout, fresh.stderr)


SPAWNS = """
import multiprocessing, subprocess, sys
from judgerlvr.cluster.forking.start import forking_python, start_server
start_server([], {})
code = (
    "import multiprocessing as m; c = m.get_context('spawn'); s = c.Semaphore(); "
    "p = c.Process(target=print, args=('spawned',)); p.start(); p.join(); print(p.exitcode)"
)
subprocess.run([forking_python(), "-c", code], check=True)
"""


@pytest.mark.parametrize("name", ["PYTHONWARNINGS", "PYTHONDEVMODE", "PYTHONOPTIMIZE"])
def test_processes_of_a_fork_start_whatever_the_environment_says(name):
    environment = {key: value for key, value in os.environ.items() if key != start.VARIABLE}
    environment |= {name: {"PYTHONWARNINGS": "ignore"}.get(name, "1")}
    done = subprocess.run([sys.executable, "-c", SPAWNS], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == ["spawned", "0"]


def test_a_fork_is_a_process_group_of_its_own(server):
    assert lines(server[0], "-c", "import os; print(os.getpgid(0) == os.getpid())") == "True\n"


def test_an_interrupt_at_once_is_not_lost(server):
    """Sent as soon as the fork is known, before the fork has become a program."""
    for _ in range(5):
        launcher, pid = early(server[0])
        os.kill(pid, signal.SIGINT)
        assert launcher.wait(5) in (-signal.SIGINT, 130)


def early(python):
    """A launcher and the launcher's fork, found among the processes of the server before the fork says anything."""
    number = start._own[-1].pid
    before = set(children(number))
    launcher = subprocess.Popen([python, "-c", "import time; time.sleep(20)"], stderr=subprocess.DEVNULL)
    found = []
    while not found:
        found = [pid for pid in children(number) if pid not in before]
    return launcher, found[0]


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
