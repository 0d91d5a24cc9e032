"""Weights between two processes, in memory that a killed process does not leave."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import zmq

from judgerlvr.engine.devices import SOCKETS
from judgerlvr.engine.private import weights
from judgerlvr.engine.private.bucket_memory import BucketMemory

# A trainer that sends three tensors in buckets of 1 MiB. Each bucket has room for two.
SENDER = """
import asyncio, sys, torch
from judgerlvr.engine.private.weights import prepare_to_send
from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import BucketedWeightSender
prepare_to_send()
sender = BucketedWeightSender(zmq_handle=sys.argv[1], bucket_size_mb=1, use_shm=True)
asyncio.run(sender.async_send_weights((str(fill), torch.full((100_000,), float(fill))) for fill in range(3)))
"""


@pytest.fixture
def handle(tmp_path, monkeypatch):
    monkeypatch.setenv(SOCKETS, f"test{os.getpid()}")
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    return f"ipc://{tmp_path}/rl-colocate-zmq.sock"


@pytest.fixture
def sender(handle):
    process = subprocess.Popen([sys.executable, "-c", SENDER, handle])
    yield process
    process.kill()
    process.wait()


def end_as_ray_does(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children, Python's tracker of shared memory among them."""
    process.send_signal(signal.SIGSTOP)
    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)
    process.kill()
    process.wait()


def test_a_sender_that_is_killed_in_a_transfer_leaves_no_memory(handle, sender):
    with zmq.Context() as context, context.socket(zmq.REP) as socket:
        socket.connect(weights.own_socket(handle))
        place = Path("/dev/shm") / socket.recv_pyobj()["name"]
        there = place.exists()
        end_as_ray_does(sender)
    assert (there, place.exists()) == (True, False)


def test_the_receiver_gets_all_tensors(handle, sender):
    worker = SimpleNamespace(_get_zmq_handle=lambda: weights.own_socket(handle))
    received = weights.receive_weights(worker, use_shm=True)
    assert {name: set(tensor.tolist()) for name, tensor in received} == {"0": {0.0}, "1": {1.0}, "2": {2.0}}


def test_the_sender_ends_behind_the_last_tensor(handle, sender):
    weights.receive_weights(SimpleNamespace(_get_zmq_handle=lambda: weights.own_socket(handle)), use_shm=True)
    assert sender.wait(30) == 0


def test_a_closed_memory_stays_as_long_as_its_tensor():
    memory = BucketMemory.make(4)
    tensor = memory.tensor()
    tensor.fill_(7)
    memory.close()
    assert tensor.tolist() == [7, 7, 7, 7]


def test_a_command_removes_the_sockets_of_its_run_alone(handle, tmp_path, monkeypatch):
    for run in ("one", "another"):
        (tmp_path / f"rl-colocate-{run}-zmq-01000000-replica-0-rank-0.sock").touch()
    monkeypatch.setenv(SOCKETS, "one")
    weights.remove_dead_sockets()
    assert [path.name.split("-")[2] for path in tmp_path.iterdir()] == ["another"]
