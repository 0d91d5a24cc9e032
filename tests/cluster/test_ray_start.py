"""Ray that starts late, or not at all."""

import inspect

import pytest
import ray
from ray._private.node import Node

from judgerlvr.cluster.ray_start import starting, waiting
from judgerlvr.cluster.session import Session
from rewards.errors import CommandFailed, InputError

NODE = {"node_manager_port": 7}


def late(failures):
    """Ray's look-up of its own node, which fails so many times."""
    left = [failures]

    def get_node(address, node):
        left[0] -= 1
        if left[0] >= 0:
            raise RuntimeError(f"GCS has no node {node}")
        return NODE

    return get_node


@pytest.fixture
def private(monkeypatch, tmp_path):
    """A private session. Ray has not started in this process."""
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    return Session(tmp_path)


def test_ray_still_looks_for_its_node_in_the_place_that_waits():
    """A limit of 30 s stands behind the look-up, and nothing outside Ray can set the limit."""
    source = inspect.getsource(Node.__init__)
    assert "ray._private.services.get_node(" in source
    assert "raylet_start_wait_time_s = 30" in source
    assert "except RuntimeError" in source


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_a_late_start_is_waited_for(private, failures):
    assert waiting(late(failures), private, 10.0)("here:1", "a1") == NODE


def test_the_wait_has_an_end(private):
    with pytest.raises(CommandFailed, match="Ray did not start within 0 s; wait until other work"):
        waiting(late(9), private, 0.0)("here:1", "a1")


def test_a_dead_server_ends_the_wait(private, monkeypatch):
    monkeypatch.setattr(Session, "dead_part", lambda self: "Ray's raylet on this machine (process 9) exited with 1")
    with pytest.raises(CommandFailed, match=r"Ray did not start: Ray's raylet .* exited with 1; "):
        waiting(late(9), private, 60.0)("here:1", "a1")


def test_the_look_up_is_put_back(private):
    before = ray._private.services.get_node
    with pytest.raises(CommandFailed), starting(private):
        assert ray._private.services.get_node is not before
        raise OSError
    assert ray._private.services.get_node is before


@pytest.mark.parametrize("kind", [Exception, RuntimeError, ConnectionError, ValueError, TimeoutError])
@pytest.mark.parametrize("folder", [None, "own"])
def test_whatever_ray_raises_at_its_start_is_one_line(private, kind, folder):
    opened = private if folder else Session()
    told = rf"Ray did not start \({kind.__name__}: timed out during startup\); wait"
    with pytest.raises(CommandFailed, match=told), starting(opened):
        raise kind("timed out\nduring startup")


@pytest.mark.parametrize("error", [InputError("bad", "mend"), OSError(28, "full"), ray.exceptions.RaySystemError("x")])
def test_errors_that_say_their_cause_pass(private, error):
    with pytest.raises(type(error)) as raised, starting(private):
        raise error
    assert raised.value is error


def test_errors_behind_the_start_pass(private, monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    with pytest.raises(ValueError, match="later"), starting(private):
        raise ValueError("later")
