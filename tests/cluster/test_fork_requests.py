"""Requests of launchers: what a server does that cannot fork or read, and where descriptors arrive."""

import errno
import fcntl
import json
import os
import random
import resource
import signal
import socket
from pathlib import Path

import pytest

from judgerlvr.cluster.forking import launch, program
from judgerlvr.cluster.forking import server as forking_server


@pytest.fixture
def listening(tmp_path):
    """A server in the test's process, and a request of a launcher that waits in the server's queue."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(tmp_path / "s"))
    yield forking_server.Server(listener), client
    listener.close()
    client.close()


def request(client, line=None, descriptors=(0, 1)):
    asked = {"words": ["-c", ""], "environment": {}, "folder": "/", "descriptors": list(range(len(descriptors)))}
    socket.send_fds(client, [b"d"], list(descriptors))
    client.sendall(line or json.dumps(asked).encode() + b"\n")
    client.shutdown(socket.SHUT_WR)


def open_descriptors():
    return sorted(int(path.name) for path in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM])
def test_a_fork_that_fails_sends_the_launcher_away(listening, monkeypatch, number):
    server, client = listening

    def fail():
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(forking_server.os, "fork", fail)
    before = open_descriptors()
    request(client)
    assert server._accept() is None
    assert client.recv(100) == b"" and not server.connections
    assert open_descriptors() == before
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(launch.PASSED_ON)


@pytest.mark.parametrize("line", [b"{", b"{}", b"{}\n", b"no json\n"])
def test_an_unfinished_request_leaves_no_descriptor_open(listening, line):
    server, client = listening
    before = open_descriptors()
    request(client, line)
    assert server._accept() is None
    assert open_descriptors() == before


def test_descriptors_above_the_servers_limit_are_for_a_real_interpreter(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    forking_server._check_descriptors([5, 6], [0, 63])
    with pytest.raises(ValueError, match="more descriptors"):
        forking_server._check_descriptors([5, 6], [0, 64])
    with pytest.raises(ValueError, match="more descriptors"):
        forking_server._check_descriptors([5], [0, 1])


def in_fork(check):
    """Whether ``check`` returns True in a fork."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            status = 0 if check() else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize("limit", [32, 700])
@pytest.mark.parametrize("seed", range(10))
def test_descriptors_get_any_numbers_below_the_limit(tmp_path, limit, seed):
    """Files at drawn numbers move to drawn numbers, which are the numbers of other files too."""
    draw = random.Random(seed)
    count = draw.randint(1, 20)
    received, targets = (draw.sample(range(3, limit), count) for _ in range(2))

    def check():
        os.closerange(3, 4096)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        for place, number in enumerate(received):
            file = tmp_path / str(place)
            file.write_text(str(place))
            opened = os.open(file, os.O_RDONLY)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
        program.place_descriptors(received, targets)
        right = all(os.read(number, 9) == str(place).encode() for place, number in enumerate(targets))
        return (
            right
            and all(map(os.get_inheritable, targets))
            and [n for n in range(3, limit) if is_open(n)] == sorted(targets)
        )

    assert in_fork(check)


def is_open(number):
    try:
        fcntl.fcntl(number, fcntl.F_GETFD)
    except OSError:
        return False
    return True
