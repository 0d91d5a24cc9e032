"""A start of Ray leaves the process's handler of TERM in place, and an address is tried before Ray tries it."""

import ctypes
import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
import ray

import judgerlvr.cluster.ray as cluster_ray
from judgerlvr.cluster.ray import check_address, join, leave
from rewards.errors import InputError


def rays(*_):
    raise AssertionError("Ray's handler")


rays.__module__ = "ray._private.worker"


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


class Health(grpc.GenericRpcHandler):
    """A server in a head's place, which answers each call in the same way."""

    def __init__(self, code):
        self.code = code

    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(self.answer)

    def answer(self, request, context):
        if self.code is not grpc.StatusCode.OK:
            context.abort(self.code, "")
        return b""


@pytest.fixture
def serving():
    """Start a server that answers with a code; returns its address."""
    servers = []

    def start(code):
        server = grpc.server(ThreadPoolExecutor(1))
        server.add_generic_rpc_handlers([Health(code)])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop(None)


@pytest.mark.parametrize("code", [grpc.StatusCode.OK, grpc.StatusCode.UNIMPLEMENTED])
def test_a_head_that_answers_is_right(serving, code):
    check_address(serving(code))


def test_a_head_that_refuses_is_wrong(serving):
    with pytest.raises(InputError, match="UNAVAILABLE"):
        check_address(serving(grpc.StatusCode.UNAVAILABLE))


@pytest.fixture
def hanging():
    """A port that takes connections for a process that never reads."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_head_that_hangs_is_wrong(monkeypatch, hanging):
    monkeypatch.setattr(cluster_ray, "CONNECT_SECONDS", 0.2)
    with pytest.raises(InputError, match="no head of Ray answers"):
        check_address(hanging)


@pytest.mark.parametrize("tls", ["1", "0"])
def test_a_client_s_address_and_tls_are_not_asked(monkeypatch, hanging, tls):
    monkeypatch.setenv("RAY_USE_TLS", tls)
    check_address(hanging if tls == "1" else f"ray://{hanging}")


@pytest.mark.parametrize(("address", "tries"), [("head:6379", "3"), ("local", None), (None, None)])
def test_a_refusal_of_a_running_cluster_comes_soon(monkeypatch, address, tries):
    seen = []
    monkeypatch.setattr(ray, "init", lambda **_: seen.append(os.environ.get(cluster_ray.JOIN_SECONDS[0])))
    join(address=address)
    assert seen == [tries] and cluster_ray.JOIN_SECONDS[0] not in os.environ


def test_the_kernel_still_knows_the_handler_after_a_shutdown(monkeypatch, own):
    """Ray's shutdown sets the default action below Python, whose ``getsignal`` still names the handler."""
    monkeypatch.setattr(ray, "shutdown", lambda: signal_to_the_kernel(signal.SIGTERM))
    leave()
    caught = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "SigCgt" in line)
    assert int(caught, 16) >> (signal.SIGTERM - 1) & 1


def signal_to_the_kernel(number):
    """The default action, set as a library in C sets it."""
    ctypes.CDLL(None).signal(int(number), None)


def test_auto_without_a_cluster_says_how_to_get_one(monkeypatch):
    def no_ray(**_):
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setattr(cluster_ray, "join", no_ray)
    cluster_ray.resources_of.cache_clear()
    with pytest.raises(InputError, match=r"auto finds no cluster on this machine.*ray start --head"):
        cluster_ray.resources_of("auto")
