"""A start of Ray leaves the process's handler of TERM in place."""

import signal

import pytest
import ray

from judgerlvr.cluster.ray import join


def rays(*_):
    raise AssertionError("Ray's handler")


@pytest.fixture
def own():
    before = signal.getsignal(signal.SIGTERM)

    def handler(*_):
        return None

    signal.signal(signal.SIGTERM, handler)
    yield handler
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("error", [None, ConnectionError, KeyboardInterrupt])
def test_the_handler_is_put_back_however_ray_ends(monkeypatch, own, error):
    def init(**_):
        signal.signal(signal.SIGTERM, rays)
        if error:
            raise error

    monkeypatch.setattr(ray, "init", init)
    if error:
        with pytest.raises(error):
            join()
    else:
        join()
    assert signal.getsignal(signal.SIGTERM) is own


def test_a_handler_that_was_set_in_c_is_left_alone(monkeypatch, own):
    monkeypatch.setattr(ray, "init", lambda **_: None)
    monkeypatch.setattr(signal, "getsignal", lambda _: None)
    join()
