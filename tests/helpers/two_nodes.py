"""A Ray cluster of two raylets on this machine. The second starts behind a command: a mount, a limit, a venv."""

import os
import signal
import subprocess
import time
from contextlib import contextmanager, suppress

from judgerlvr.cluster.ray import answers
from tests.helpers.ports import free_port
from tests.helpers.ray_head import RAY

HEAD, SECOND = "127.0.0.1", "127.0.0.2"
# Ray takes any token that lies in the home folder, so that nodes and driver are given one.
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
QUIET = ["--disable-usage-stats", "--block", "--include-dashboard=false"]


class Raylet:
    """A node with all processes of the group."""

    def __init__(self, folder, name, words, before=(), environment=()):
        self.log = folder / f"{name}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*before, *words],
                env=os.environ | TOKEN | {"RAY_TMPDIR": str(folder)} | dict(environment),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def signal(self, number):
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def end(self):
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(15)
        self.signal(signal.SIGKILL)
        self.process.wait(15)


@contextmanager
def head(folder, cpus=16, gpus=1, environment=()):
    """The address of a cluster with one node."""
    address = f"{HEAD}:{free_port()}"
    words = ["start", "--head", f"--port={address.rpartition(':')[2]}", f"--node-ip-address={HEAD}", *QUIET]
    node = Raylet(folder, "head", [*RAY, *words, *sized(cpus, gpus)], environment=environment)
    try:
        wait_for(lambda: answers(address), node)
        yield address
    finally:
        node.end()


@contextmanager
def second(folder, address, cpus=16, gpus=1, before=(), ray=RAY, environment=()):
    """A further node of the cluster at ``address``."""
    words = ["start", f"--address={address}", f"--node-ip-address={SECOND}", QUIET[0], QUIET[1], *sized(cpus, gpus)]
    node = Raylet(folder, "second", [*ray, *words], before, environment)
    try:
        wait_for(lambda: "Ray runtime started" in node.log.read_text(), node)
        yield node
    finally:
        node.end()


def sized(cpus, gpus):
    return [f"--num-cpus={cpus}", f"--num-gpus={gpus}", "--object-store-memory=100000000"]


def wait_for(condition, node, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until and node.process.poll() is None, node.log.read_text()
        time.sleep(0.1)
