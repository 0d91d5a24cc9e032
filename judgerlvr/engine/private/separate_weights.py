"""Weights for rollout engines on devices of their own: verl's checkpoint engine, over gloo on a CPU.

verl's own engines need a GPU or another accelerator. verl imports this module in the trainer's workers and in the
rollout's workers, by ``checkpoint_engine.custom_backend_module``. On a GPU verl's engine over NCCL sends the weights.
"""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any

import ray
import torch
from torch import Tensor
from torch.distributed import PrefixStore, ProcessGroupGloo, TCPStore
from verl.checkpoint_engine import CheckpointEngine, CheckpointEngineRegistry

from judgerlvr.engine.devices import GLOO
from judgerlvr.engine.private.bucket_memory import send_in_unnamed_memory
from judgerlvr.engine.private.weights import send_on_own_socket

# The rollout's worker hands the weights to its engine, as a trainer on the same device does.
send_on_own_socket()
send_in_unnamed_memory()

Named = tuple[str, Tensor]


@CheckpointEngineRegistry.register(GLOO)
class GlooEngine(CheckpointEngine):
    """The first rank of the trainer broadcasts to every worker of the rollout, in a group made anew for each update."""

    def __init__(self, bucket_size: int, is_master: bool = False) -> None:
        self.bucket_size, self.is_master = bucket_size, is_master
        self.store: Any = None
        self.group: Any = None

    def prepare(self) -> dict[str, Any]:
        """Where the group meets, from the first rank of the trainer."""
        if not self.is_master:
            return {}
        host = ray.util.get_node_ip_address().strip("[]")
        self.store = TCPStore(host, 0, is_master=True, wait_for_workers=False)
        return {"host": host, "port": self.store.port}

    @classmethod
    def build_topology(
        cls, actor_wg_world_size: int, rollout_world_size: int, metadata: list[dict[str, Any]]
    ) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
        """Arguments of ``init_process_group`` for each worker. Other ranks of the trainer are in no group."""
        size = 1 + rollout_world_size
        trainer = [0] + [-1] * (actor_wg_world_size - 1)

        def arguments(ranks: list[int]) -> dict[str, list[Any]]:
            return {"rank": ranks, "size": [size] * len(ranks), "meeting": [metadata[0]] * len(ranks)}

        return arguments(trainer), arguments(list(range(1, size)))

    def init_process_group(self, rank: int, size: int, meeting: dict[str, Any]) -> None:
        if rank < 0:
            return
        store = self.store or TCPStore(meeting["host"], meeting["port"], is_master=False)
        self.group = ProcessGroupGloo(PrefixStore("weights", store), rank, size)

    def finalize(self) -> None:
        self.group = self.store = None

    @torch.no_grad()
    async def send_weights(self, weights: Iterable[Named], global_steps: int | None = None) -> None:
        """Every rank goes through the weights, since each tensor is gathered from all ranks."""
        for bucket in buckets(weights, self.bucket_size):
            if self.group:
                send(self.group, bucket)
        if self.group:
            send(self.group, [])

    async def receive_weights(self, global_steps: int | None = None) -> AsyncIterator[Named]:
        while bucket := receive(self.group):
            for named in bucket:
                yield named


def buckets(weights: Iterable[Named], most: int) -> Iterator[list[Named]]:
    """Tensors of at most ``most`` bytes together. A larger tensor is alone."""
    held: list[Named] = []
    size = 0
    for name, tensor in weights:
        if held and size + tensor.nbytes > most:
            yield held
            held, size = [], 0
        held.append((name, tensor.detach().cpu()))
        size += tensor.nbytes
    if held:
        yield held


def send(group: Any, bucket: Sequence[Named]) -> None:
    """Broadcast a bucket from rank 0. An empty bucket ends the weights."""
    head = pickle.dumps([(name, tensor.dtype, tensor.shape) for name, tensor in bucket])
    _broadcast(group, torch.tensor([len(head)]))
    _broadcast(group, torch.frombuffer(bytearray(head), dtype=torch.uint8))
    if bucket:
        _broadcast(group, torch.cat([tensor.contiguous().view(-1).view(torch.uint8) for _, tensor in bucket]))


def receive(group: Any) -> list[Named]:
    """The bucket that ``send`` broadcasts."""
    length = _broadcast(group, torch.zeros(1, dtype=torch.int64))
    head = pickle.loads(_broadcast(group, torch.empty(int(length), dtype=torch.uint8)).numpy().tobytes())
    sizes = [shape.numel() * dtype.itemsize for _, dtype, shape in head]
    parts = _broadcast(group, torch.empty(sum(sizes), dtype=torch.uint8)).split(sizes) if head else ()
    # A part of another dtype may begin where the tensor's dtype cannot.
    return [
        (name, part.clone().view(dtype).view(shape)) for (name, dtype, shape), part in zip(head, parts, strict=True)
    ]


def _broadcast(group: Any, tensor: Tensor) -> Tensor:
    group.broadcast(tensor, 0).wait()
    return tensor
