"""A line and an exit code for whatever a command raises."""

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from safetensors import SafetensorError

from judgerlvr.config.load import ROOT
from rewards.errors import MACHINE, READER_GONE, CommandFailed, InputError, exit_code, reading
from tests.helpers.forks import until


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def ended(capsys, error):
    def fail():
        raise error

    code = exit_code(fail)
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    return code, line


def undecodable():
    try:
        b"\xe9".decode()
    except UnicodeDecodeError as error:
        return error


ENDS = {
    "bad input": (InputError("a\nb", "c"), 2),
    "failed": (CommandFailed("first\nsecond"), 1),
    "unexpected": (ZeroDivisionError("division by zero"), 1),
    "empty message": (ValueError(), 1),
    "out of memory": (MemoryError(), 1),
    "too deep": (RecursionError("deep"), 1),
    "not text": (undecodable(), 1),
    "disk full": (OSError(errno.ENOSPC, "No space left on device", "x"), 1),
    "no permission": (PermissionError(errno.EACCES, "Permission denied", "/root/x"), 2),
    "a folder": (IsADirectoryError(errno.EISDIR, "Is a directory", "/tmp"), 2),
    "interrupted": (KeyboardInterrupt(), 130),
}


@pytest.mark.parametrize("case", ENDS)
def test_every_end_is_one_line(capsys, case):
    error, code = ENDS[case]
    assert ended(capsys, error)[0] == code


@pytest.mark.parametrize("number", MACHINE)
@pytest.mark.parametrize("form", ["of Python", "of Rust"])
def test_a_fault_of_the_machine_is_one_line_without_a_traceback(number, form, capsys):
    """safetensors, written in Rust, gives a text alone."""
    text = f"Error while serializing: I/O error: {os.strerror(number)} (os error {number})"
    error = OSError(number, os.strerror(number), "x") if form == "of Python" else SafetensorError(text)
    code, line = ended(capsys, error)
    assert code == 1 and "; ".join(MACHINE[number]) in line and "traceback" not in line


def test_a_file_size_limit_is_one_line_from_the_library_itself(tmp_path):
    """The limit is for a process of its own."""
    program = f"""
import resource, torch
from safetensors.torch import save_file
from rewards.errors import exit_code
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
exit(exit_code(lambda: save_file({{"a": torch.zeros(9000)}}, {str(tmp_path / "a.safetensors")!r})))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1) and MACHINE[errno.EFBIG][0] in done.stderr


WAITS = """
import os, signal, sys, time
from rewards.errors import exit_code
# A shell's background job ignores Ctrl-C, and so do its processes.
signal.signal(signal.SIGINT, signal.default_int_handler)
def run():
    child = os.fork() if "fork" in sys.argv else 0
    # A fork drops signals until Python is ready in it, so the fork itself says that it is.
    if not child:
        print(os.getpid(), flush=True)
    while True:
        time.sleep(0.01)
sys.exit(exit_code(run))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 1)])
def test_a_signal_is_one_line_and_its_exit_code(number, code):
    command = subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    command.stdout.readline()
    command.send_signal(number)
    _, line = command.communicate(timeout=10)
    assert (command.returncode, line) == (code, f"failed: {number.name}; give the same command again\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_fork_that_is_terminated_does_not_end_as_the_command(number):
    command = subprocess.Popen([sys.executable, "-c", WAITS, "fork"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    fork = int(command.stdout.readline())
    os.kill(fork, number)
    died = until(lambda: "State:\tZ" in Path(f"/proc/{fork}/status").read_text())
    command.kill()
    if not died:
        os.kill(fork, signal.SIGKILL)
    assert (died, command.communicate()[1]) == (True, b"")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_an_ignored_signal_stays_ignored(number):
    before = signal.signal(number, signal.SIG_IGN)
    try:
        assert exit_code(lambda: os.kill(os.getpid(), number)) == 0
    finally:
        signal.signal(number, before)


def test_an_unexpected_error_names_its_log(capsys):
    _, line = ended(capsys, ZeroDivisionError("division by zero"))
    log = Path(line.rsplit(" ", 1)[1].strip())
    assert "ZeroDivisionError: division by zero" in log.read_text()


def test_a_long_message_is_cut(capsys):
    assert len(ended(capsys, InputError("x" * 10_000, "y"))[1]) < 600


def test_reading_names_the_file_and_the_cause():
    with pytest.raises(InputError) as caught, reading("not JSON", "mend it", file="a.json"):
        json.loads("{")
    assert str(caught.value).startswith("a.json: not JSON (JSONDecodeError")


def test_reading_leaves_a_full_disk_alone():
    with pytest.raises(OSError), reading("unreadable", "mend it", file="a.json"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_reader_that_goes_away_ends_a_command_without_a_word():
    code = "from rewards.errors import exit_code; exit(exit_code(lambda: [print(n, flush=True) for n in range(10**6)]))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == READER_GONE
