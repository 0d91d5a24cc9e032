"""Errors of several processes: one process tells a reason, and no reason is lost."""

import os
import signal
import subprocess
import sys

import accelerate.utils
import pytest

from judgerlvr.hysparse.distill import main
from judgerlvr.hysparse.distillation import processes
from judgerlvr.hysparse.distillation.processes import agree, printed_once, same
from rewards.errors import InputError


def wrong():
    raise InputError("a fault", "a remedy")


@pytest.fixture
def second(monkeypatch):
    """This process is the second of two."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    return monkeypatch


def ended(_):
    raise KeyboardInterrupt


def answers(monkeypatch, *failed):
    monkeypatch.setattr(accelerate.utils, "gather_object", lambda _: list(failed))


@pytest.mark.parametrize("way", [same, agree])
def test_work_without_a_fault_is_done(way):
    assert way(lambda: 3) == 3


@pytest.mark.parametrize("way", [same, agree])
def test_a_process_alone_tells_its_fault(way):
    with pytest.raises(InputError, match="a fault"):
        way(wrong)


def test_the_second_process_is_silent_when_torchrun_ends_it(second):
    second.setattr(processes.time, "sleep", ended)
    with pytest.raises(SystemExit, match="2"):
        same(wrong)


# A process that gets a signal before it waits for its end, and one that gets the signal before it finds its fault.
# SIGINT acts as in a shell, where a test run in the background would hand down that it is ignored.
SIGNALLED = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from judgerlvr.hysparse import distill
from judgerlvr.hysparse.distillation import processes
owner, name = {"wait": (processes, "_wait_for_the_end"), "start": (distill.OneLineParser, "parse_args")}[sys.argv[1]]
setattr(owner, name, lambda *_: os.kill(os.getpid(), int(sys.argv[2])))
sys.exit(distill.main(["--bogus"]))
"""


def signalled(rank, place, number):
    environment = os.environ | {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": "2"}
    command = [sys.executable, "-c", SIGNALLED, place, str(int(number))]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
@pytest.mark.parametrize("place", ["wait", "start"])
def test_the_second_process_is_silent_wherever_a_signal_meets_it(place, number):
    ended = signalled(1, place, number)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-number, "", "")


def test_the_first_process_tells_a_signal():
    ended = signalled(0, "start", signal.SIGTERM)
    assert (ended.returncode, ended.stderr) == (143, "failed: SIGTERM; give the same command again\n")


def test_handlers_are_as_before_once_the_second_process_has_ended(second):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("place", ["accelerate.utils.gather_object", f"{processes.__name__}._wait_for_the_end"])
def test_the_first_process_is_silent_when_torchrun_ends_it_for_anothers_fault(place, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    answers(monkeypatch, False, True)
    monkeypatch.setattr(place, lambda *_: ended(None))
    with pytest.raises(SystemExit, match="2"):
        agree(lambda: 3)


def test_a_process_alone_hears_a_signal_in_any_place(monkeypatch):
    monkeypatch.setattr(accelerate.utils, "gather_object", ended)
    with pytest.raises(KeyboardInterrupt):
        agree(lambda: 3)


def test_a_fault_of_the_second_process_alone_is_told_after_the_wait(second):
    second.setattr(processes.time, "sleep", lambda _: None)
    with pytest.raises(InputError, match="a fault"):
        same(wrong)


def test_a_wrong_option_is_no_line_of_the_second_process(second, capsys):
    second.setattr(processes.time, "sleep", ended)
    with pytest.raises(SystemExit, match="2"):
        main(["--bogus"])
    assert capsys.readouterr() == ("", "")


def test_help_ends_the_second_process_at_once(second, capsys):
    second.setattr(processes.time, "sleep", lambda _: pytest.fail("waits"))
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert capsys.readouterr() == ("", "")


def test_a_fault_that_all_met_is_told_by_the_first(monkeypatch):
    answers(monkeypatch, True, True)
    with pytest.raises(InputError, match="a fault"):
        agree(wrong)


def test_a_fault_that_all_met_is_not_told_by_the_second(second):
    answers(second, True, True)
    second.setattr(processes.time, "sleep", lambda _: None)
    with pytest.raises(SystemExit, match="2"):
        agree(wrong)


def test_a_fault_of_the_second_alone_is_told_by_it(second):
    answers(second, False, True)
    with pytest.raises(InputError, match="a fault"):
        agree(wrong)


def test_a_fault_of_another_process_ends_this_one(monkeypatch):
    answers(monkeypatch, False, True)
    monkeypatch.setattr(processes.time, "sleep", lambda _: None)
    with pytest.raises(SystemExit, match="2"):
        agree(lambda: 3)


def test_the_second_process_prints_nothing(second, capsys):
    with printed_once():
        print("a note")
    assert capsys.readouterr().out == ""


def test_the_first_process_prints(capsys):
    with printed_once():
        print("a note")
    assert capsys.readouterr().out == "a note\n"


NO_NUMBERS = ("abc", "", "-1", "1.5", " 1", "1e3", "0x1", "²", "9" * 30)
WRONG = [{name: text} for name in processes.NUMBERS for text in NO_NUMBERS]
WRONG += [{"RANK": "1"}, {"RANK": "2", "WORLD_SIZE": "2"}, {"WORLD_SIZE": "0"}, {"LOCAL_RANK": "3"}]


@pytest.mark.parametrize("numbers", WRONG, ids=str)
def test_a_number_of_a_process_that_torchrun_would_not_give_is_one_line(numbers, monkeypatch, capsys, tmp_path):
    for name in processes.NUMBERS:
        monkeypatch.delenv(name, raising=False)
    for name, text in numbers.items():
        monkeypatch.setenv(name, text)
    assert main(["source", str(tmp_path / "out"), "--texts", "texts.jsonl"]) == 2
    error = capsys.readouterr().err
    assert "start with torchrun" in error and error.count("\n") == 1


@pytest.mark.parametrize("rank", range(4))
@pytest.mark.parametrize("machines", [1, 2])
def test_numbers_of_torchrun_are_taken(rank, machines, monkeypatch):
    here = 4 // machines
    given = {"RANK": rank, "WORLD_SIZE": 4, "LOCAL_RANK": rank % here, "LOCAL_WORLD_SIZE": here}
    for name, number in given.items():
        monkeypatch.setenv(name, str(number))
    processes.check_numbers()
