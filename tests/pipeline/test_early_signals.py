"""Signals while a stage prepares or starts: one line, the code of the signal, and the same command goes on."""

import os
import signal
import sys
import time
from contextlib import contextmanager

import pytest

from judgerlvr.cluster.ray import join
from judgerlvr.cluster.ray_start import starting
from judgerlvr.cluster.session import Session
from judgerlvr.engine.signals import HEARD
from judgerlvr.pipeline import stages
from judgerlvr.runs.lock import held
from judgerlvr.runs.stage import STOP
from judgerlvr.stage2_generate import main
from tests.pipeline.test_again import COMMAND

CODES = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]


def send(number):
    os.kill(os.getpid(), number)
    time.sleep(1)


def as_ray_waits(number):
    """Ray's waits turn whatever a handler raises into a plain KeyboardInterrupt."""
    try:
        send(number)
    except KeyboardInterrupt:
        raise KeyboardInterrupt from None


@pytest.fixture
def during(trained, monkeypatch):
    """Has a function of the stage's way replaced by an act, once. Returns the calls of training."""

    def replace(name, act):
        before = getattr(stages, name)

        def once(*arguments):
            monkeypatch.setattr(stages, name, before)
            act()
            return before(*arguments)

        monkeypatch.setattr(stages, name, once)
        return trained

    return replace


@pytest.mark.parametrize("act", [send, as_ray_waits])
@pytest.mark.parametrize(("number", "code"), CODES)
def test_a_signal_during_preparation(during, tmp_path, capsys, act, number, code):
    trained = during("make_manifest", lambda: act(number))
    assert main(COMMAND) == code
    said = capsys.readouterr().err
    assert said.startswith(f"failed: {number.name}; ") and "the same command goes on" in said and said.count("\n") == 1
    with held(tmp_path / "runs" / "mine"):
        pass
    assert main(COMMAND) == 0
    assert trained[-1] == (None, 4)


@pytest.mark.parametrize(("number", "code"), CODES)
def test_a_signal_to_a_prepared_run_names_the_whole_command(during, tmp_path, capsys, number, code):
    during("run_card", lambda: send(number))
    assert main(COMMAND) == 0
    assert main(COMMAND) == code
    said = capsys.readouterr().err
    assert said.endswith(f"--resume {tmp_path / 'runs' / 'mine'} --out {tmp_path / 'ckpt' / 'generate'}\n")


@pytest.mark.parametrize("sent", [True, False], ids=["during preparation", "during the start before"])
def test_usr1_asks_for_the_end_of_the_first_step(during, monkeypatch, tmp_path, sent):
    during("make_manifest", (lambda: send(signal.SIGUSR1)) if sent else (lambda: None))
    asked = []
    monkeypatch.setattr(stages, "_train", lambda stage, *_: asked.append((stage.run_dir / STOP).exists()))
    if not sent:
        (tmp_path / "runs" / "mine").mkdir(parents=True)
        (tmp_path / "runs" / "mine" / "config.yaml").touch()
        (tmp_path / "runs" / "mine" / STOP).touch()
    assert main(COMMAND) == 0
    assert asked == [sent]


def test_the_callers_handlers_return(trained):
    before = [signal.getsignal(number) for number in HEARD]
    assert main(COMMAND) == 0
    assert [signal.getsignal(number) for number in HEARD] == before


def ray_s_handler(*_):
    """Ray's handler of TERM leaves with code 15 and says nothing."""
    sys.exit(15)


ray_s_handler.__module__ = "ray._private.worker"


@contextmanager
def hearing():
    """A block in which TERM is heard. Gives the list of what was heard."""
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append("ours"))
    try:
        yield heard
    finally:
        signal.signal(signal.SIGTERM, before)


def test_ray_does_not_take_the_handler_of_term(monkeypatch):
    def start(**_):
        signal.signal(signal.SIGTERM, ray_s_handler)
        send(signal.SIGTERM)

    monkeypatch.setattr("ray.init", start)
    with hearing() as heard:
        join(address="local")
        send(signal.SIGTERM)
    assert heard == ["ours", "ours"]


def test_a_stage_s_handler_is_set_while_ray_starts():
    """verl starts Ray and trains in one call, so the handler of training is set inside the block."""
    said = []
    with hearing() as heard, starting(Session(None)):
        signal.signal(signal.SIGTERM, ray_s_handler)
        send(signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda *_: said.append("training"))
        signal.signal(signal.SIGTERM, ray_s_handler)
        send(signal.SIGTERM)
    assert (heard, said) == (["ours"], ["training"])
