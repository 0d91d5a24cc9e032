"""The memory in which verl passes weights to an engine on a CPU, without a name that a death would leave.

verl names such memory in ``/dev/shm``. Ray kills a dead trainer's children as well, and so Python's process that would
remove the name. On a cluster that a command only joins nobody else would know whose name that is.
"""

from __future__ import annotations

import mmap
import os
from functools import wraps
from typing import Any, Self

import torch

# Marks what this module has put in verl's place.
OWN = "passes_unnamed_memory"


class BucketMemory:
    """Memory of two processes on a machine, which ends with the processes. Stands for Python's ``SharedMemory``.

    ``place`` is what verl's sender tells the receiver: a path that opens the memory while the sender has it, and the
    size in bytes.
    """

    def __init__(self, descriptor: int, place: dict[str, Any]) -> None:
        self.descriptor, self.place = descriptor, place
        self.bytes: mmap.mmap | None = mmap.mmap(descriptor, place["size"])

    @classmethod
    def make(cls, size: int) -> Self:
        descriptor = os.memfd_create("judgerlvr-weights")
        os.ftruncate(descriptor, size)
        return cls(descriptor, {"name": f"/proc/{os.getpid()}/fd/{descriptor}", "size": size})

    @classmethod
    def open(cls, place: dict[str, Any]) -> Self:
        return cls(os.open(place["name"], os.O_RDWR | os.O_CLOEXEC), place)

    def tensor(self) -> torch.Tensor:
        return torch.frombuffer(self.bytes, dtype=torch.uint8)

    def close(self) -> None:
        """Let the memory go with the last tensor in it. An error of verl's keeps tensors for a while."""
        self.bytes = None
        os.close(self.descriptor)

    def unlink(self) -> None:
        """Nothing: verl's sender removes a name behind its ``close``, and there is none."""


def send_in_unnamed_memory() -> None:
    """Have verl's sender in this process make memory that ``receive_in_unnamed_memory`` opens."""
    from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import BucketedWeightSender

    original = BucketedWeightSender._init_buffer
    if getattr(original, OWN, False):
        return

    @wraps(original)
    def make(self: Any) -> None:
        if not self.use_shm:
            return original(self)
        memory = BucketMemory.make(self.bucket_size)
        self.shm, self.buffer = memory, memory.tensor()
        self.socket.send_pyobj(memory.place)
        self.socket.recv()

    setattr(make, OWN, True)
    BucketedWeightSender._init_buffer = make


def receive_in_unnamed_memory(receiver: Any) -> None:
    """Have this one of verl's receivers open the sender's memory."""

    def open_sent() -> None:
        memory = BucketMemory.open(receiver.socket.recv_pyobj())
        receiver.shm, receiver.buffer = memory, memory.tensor()
        receiver.socket.send(b"")

    if receiver.use_shm:
        receiver._init_buffer = open_sent
