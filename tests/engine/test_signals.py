"""Signals of a running stage: the step is finished where there is time, and the end is told in every case."""

import os
import signal
import threading
import time

import pytest

from judgerlvr.engine.signals import Interrupted, SignalHandlers, ask_to_stop, asked_by, heard
from judgerlvr.pipeline import stages
from judgerlvr.runs.metrics import log_phase, sampling_phase, training_phase
from judgerlvr.runs.stage import STOP
from rewards.errors import exit_code

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGALRM)


@pytest.fixture
def handlers(make_stage):
    """Installs handlers for a grace period, and puts the old handlers back."""
    before = {number: signal.getsignal(number) for number in HANDLED}
    yield lambda grace: SignalHandlers(make_stage(overrides=[f"generate.stop.grace_seconds={grace}"])).install()
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_without_grace_the_run_ends_at_once(handlers, tmp_path, number):
    handlers(0)
    with pytest.raises(Interrupted) as caught:
        os.kill(os.getpid(), number)
        time.sleep(1)
    assert caught.value.number == number
    assert not (tmp_path / STOP).exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_step_before_its_update_is_finished_without_grace(handlers, tmp_path, number):
    log_phase(tmp_path, sampling_phase(3), passing=True)
    handlers(0)
    os.kill(os.getpid(), number)
    assert asked_by(tmp_path / STOP) == number


@pytest.mark.parametrize("phase", [training_phase(3), "validating after step 3", "starting Ray"])
def test_elsewhere_the_run_ends_at_once_without_grace(handlers, tmp_path, phase):
    log_phase(tmp_path, sampling_phase(3), passing=True)
    log_phase(tmp_path, phase, passing=True)
    handlers(0)
    with pytest.raises(Interrupted):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)


def test_a_second_signal_drops_a_step_before_its_update(handlers, tmp_path):
    log_phase(tmp_path, sampling_phase(3), passing=True)
    handlers(0)
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Interrupted):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)


def test_with_grace_the_step_is_finished_first(handlers, tmp_path):
    handlers(30)
    os.kill(os.getpid(), signal.SIGTERM)
    assert (tmp_path / STOP).exists()


def test_a_second_signal_ends_the_run(handlers):
    handlers(30)
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Interrupted):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)


def test_the_grace_period_ends(handlers):
    handlers(0.05)
    with pytest.raises(Interrupted, match="SIGTERM"):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)


def test_another_thread_ends_the_run_with_its_cause(handlers, make_stage):
    handlers(0)
    newer = SignalHandlers(make_stage())
    newer.install()
    threading.Timer(0.05, newer.fail, ["Ray's raylet was killed"]).start()
    with pytest.raises(Interrupted):
        time.sleep(5)
    assert newer.cause == "Ray's raylet was killed"


def test_usr1_asks_for_the_end_of_the_step(handlers, tmp_path):
    handlers(0)
    os.kill(os.getpid(), signal.SIGUSR1)
    assert (tmp_path / STOP).exists()


def test_an_interrupt_that_passes_is_not_its_own_cause(tmp_path):
    with pytest.raises(Interrupted) as caught, heard(tmp_path / STOP):
        raise Interrupted(signal.SIGTERM)
    assert caught.value.__cause__ is None


def test_a_plain_interrupt_is_the_cause_of_the_named_one(tmp_path):
    with pytest.raises(Interrupted) as caught, heard(tmp_path / STOP):
        raise KeyboardInterrupt
    assert type(caught.value.__cause__) is KeyboardInterrupt


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_interrupted_stage_names_the_command_that_goes_on(make_stage, tmp_path, monkeypatch, capsys, number, code):
    def interrupt(*_):
        raise Interrupted(number)

    monkeypatch.setattr(stages, "_train_to_the_end", interrupt)
    assert exit_code(lambda: stages._train(make_stage(), tmp_path / "ckpt", None) and None) == code
    line = capsys.readouterr().err
    assert f"--resume {tmp_path} --out {tmp_path / 'ckpt'}" in line and line.count("\n") == 1


@pytest.mark.parametrize(("number", "code"), [(None, 1), (signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stage_stopped_after_its_step_is_not_published(make_stage, tmp_path, monkeypatch, capsys, number, code):
    def stop(*_):
        ask_to_stop(tmp_path / STOP, number)
        return tmp_path / "checkpoints" / "global_step_2"

    monkeypatch.setattr(stages, "_train_to_the_end", stop)
    monkeypatch.setattr(stages, "_publish", lambda *_: pytest.fail("published"))
    assert exit_code(lambda: stages._train(make_stage(), tmp_path / "ckpt", None) and None) == code
    line = capsys.readouterr().err
    assert ("stopped as asked" if number is None else number.name) in line and f"--resume {tmp_path}" in line
