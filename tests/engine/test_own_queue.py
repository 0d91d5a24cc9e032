"""Each stage finds a transfer queue of its own, whatever else runs on the cluster."""

import pytest
import ray
from transfer_queue import interface

from judgerlvr.engine.devices import SOCKETS
from judgerlvr.engine.private import own_queue as module
from judgerlvr.engine.private.own_queue import SHARED, own_namespace, own_queue


class Class:
    """Stands for Ray's class of the controller."""

    def __init__(self):
        self.given = {}

    def options(self, **given):
        self.given = given
        return self

    def remote(self, **_):
        raise ValueError("known already")


@pytest.fixture
def queue(monkeypatch):
    """(namespaces that were asked for, class of the controller) with the queue's module restored afterwards."""
    asked, kind = [], Class()

    def get_actor(name, namespace=None):
        asked.append((name, namespace))
        raise ValueError(name)

    monkeypatch.setattr(ray, "get_actor", get_actor)
    monkeypatch.setattr(interface, "ray", ray)
    monkeypatch.setattr(interface, "TransferQueueController", kind)
    monkeypatch.setattr(interface, "_TQ_CONTROLLER", None)
    return asked, kind


def test_the_queue_is_looked_for_and_begun_in_the_namespace_of_the_stage(queue, monkeypatch):
    monkeypatch.setenv(SOCKETS, "0123456789ab")
    own_queue()
    interface.init()
    asked, kind = queue
    mine = f"{SHARED}-0123456789ab"
    assert set(asked) == {("TransferQueueController", mine)}
    assert kind.given == {"name": "TransferQueueController", "namespace": mine}


def test_without_our_change_all_stages_share_a_namespace(queue):
    """Else the change would be needless."""
    interface.init()
    assert {namespace for _, namespace in queue[0]} == {queue[1].given["namespace"]} == {SHARED}


def test_a_second_call_changes_nothing(queue):
    own_queue()
    first = interface.TransferQueueController
    own_queue()
    assert interface.TransferQueueController is first


def test_the_rest_of_ray_is_as_ever(queue):
    own_queue()
    assert interface.ray.get is ray.get and isinstance(interface.ray, module._Ray)


@pytest.mark.parametrize(("mark", "given", "found"), [("x", None, None), ("x", "other", "other"), ("", SHARED, SHARED)])
def test_other_namespaces_and_processes_of_no_stage(monkeypatch, mark, given, found):
    monkeypatch.setenv(SOCKETS, mark)
    assert own_namespace(given) == found
