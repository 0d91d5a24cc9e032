"""Restarts: which ends are followed by the same command again, how often, and what is said of each end."""

import signal
import sys

import pytest

from judgerlvr.experiments import commands, restarts
from judgerlvr.experiments.commands import CommandEnded
from judgerlvr.experiments.restarts import Restarts
from judgerlvr.runs.folder import write_failure
from judgerlvr.runs.stage import STOP
from rewards.errors import BAD_INPUT, CommandFailed

TERM, INT = signal.SIGTERM, signal.SIGINT


class Command:
    """Stands for a stage that ends as listed, and then well. ``seal`` of an end writes a checkpoint before."""

    def __init__(self, run, *ends):
        self.run, self.ends, self.calls = run, list(ends), 0

    def __call__(self, module, *words, **shown):
        self.calls += 1
        if not self.ends:
            return
        returned, cause, seals = (*self.ends.pop(0), "", False)[:3]
        if seals:
            checkpoint = self.run / "checkpoints" / f"global_step_{self.calls}"
            checkpoint.mkdir(parents=True)
            (checkpoint / "COMPLETE.json").write_text("{}")
        if cause:
            write_failure(self.run, cause)
        raise CommandEnded(module, returned)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(restarts.time, "sleep", lambda seconds: None)
    folder = tmp_path / "judge"
    folder.mkdir()
    return folder


def give(call, run):
    call("stage1_judge", f"runs={run.parent}", f"name={run.name}")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_killed_command_is_given_again(run, capsys, number):
    command = Command(run, (-number,), (-number,))
    give(Restarts(command, 2), run)
    lines = capsys.readouterr().out.splitlines()
    assert command.calls == 3
    assert lines == [
        f"stage1_judge ended (killed by {number.name}, nothing sealed); restart {count} of 2 in {seconds} s"
        for count, seconds in ((1, 10), (2, 20))
    ]


@pytest.mark.parametrize("most", [0, 1, 3])
def test_restarts_are_counted_over_all_commands(run, most):
    """Each of two commands fails more often than there are restarts for both."""
    call = Restarts(Command(run), most)
    made = 0
    for _ in range(2):
        call.call = Command(run, *[(-9,)] * 10)
        with pytest.raises(CommandEnded):
            give(call, run)
        made += call.call.calls - 1
    assert made == most


@pytest.mark.parametrize("returned", [-TERM, -INT, 128 + TERM, 128 + INT])
def test_an_end_that_was_asked_for_is_final(run, returned):
    command = Command(run, (returned,))
    with pytest.raises(CommandEnded):
        give(Restarts(command, 3), run)
    assert command.calls == 1


def test_a_stop_file_is_final(run, capsys):
    (run / STOP).touch()
    with pytest.raises(CommandEnded):
        give(Restarts(Command(run, (1,)), 3), run)
    assert "not restarted: the end was asked for" in capsys.readouterr().out


def test_bad_input_is_final_at_the_first_start_alone(run):
    """Behind a failure the fault may be a node that has not come back."""
    with pytest.raises(CommandEnded):
        give(Restarts(Command(run, (BAD_INPUT,)), 3), run)
    command = Command(run, (-9,), (BAD_INPUT,), (BAD_INPUT,))
    give(Restarts(command, 3), run)
    assert command.calls == 4


@pytest.mark.parametrize(("seals", "calls"), [(False, 2), (True, 4)])
def test_a_cause_that_repeats_without_a_checkpoint_is_final(run, seals, calls):
    command = Command(run, *[(1, "guard entropy: 0.01 < 0.02", seals)] * 3)
    try:
        give(Restarts(command, 5), run)
    except CommandEnded:
        assert not seals
    assert command.calls == calls


def test_the_cause_in_the_run_folder_is_told(run, capsys):
    give(Restarts(Command(run, (1, "actor 7 died")), 1), run)
    assert "ended (actor 7 died, nothing sealed)" in capsys.readouterr().out


def test_what_never_started_is_not_given_again(run):
    calls = []

    def refuse(*_):
        calls.append(1)
        raise CommandFailed("not started behind another command's failure")

    with pytest.raises(CommandFailed):
        give(Restarts(refuse, 3), run)
    assert len(calls) == 1


@pytest.mark.parametrize(("word", "code"), [("import os; os.kill(os.getpid(), 9)", 137), ("raise SystemExit(3)", 3)])
def test_a_command_s_end_is_the_experiment_s_exit_code(monkeypatch, word, code):
    monkeypatch.setattr(commands, "own_forking_python", lambda: sys.executable)
    monkeypatch.setattr(commands, "_words", lambda module, arguments: ["-c", word])
    with pytest.raises(CommandEnded) as ended:
        commands.call("report")
    assert ended.value.code == code
