"""Weight updates of running vLLM engines: sockets of the run's own, and the reloading of a CPU engine."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

import torch

from judgerlvr.engine.devices import SOCKETS
from judgerlvr.engine.private.bucket_memory import receive_in_unnamed_memory, send_in_unnamed_memory

# Marks what this module has put in verl's place.
OWN = "binds_own_socket"
# How verl's sockets are named, and where they lie.
VERLS = "rl-colocate"
FOLDER = Path("/tmp")


def own_socket(handle: str) -> str:
    """verl's socket with the run's mark.

    verl names a socket by Ray's job, and the first job of every private session is 01000000. Two runs on one machine
    would therefore share the socket, and a run could receive the weights of the other run.
    """
    return handle.replace(VERLS, _marked())


def _marked() -> str:
    return f"{VERLS}-{os.environ[SOCKETS]}"


def prepare_to_send() -> None:
    """Have verl's sender in this process send as the run's receivers expect, and leave nothing at a death.

    The process is to load its model before any process of the run sends.
    """
    send_on_own_socket()
    send_in_unnamed_memory()
    remove_dead_sockets()


def remove_dead_sockets() -> None:
    """Remove the sockets of this run on this machine. Only killed processes of earlier commands have left any.

    A process outside of a run, such as a measurement, has none.
    """
    for path in FOLDER.glob(f"{_marked()}-*") if SOCKETS in os.environ else ():
        with suppress(OSError):
            path.unlink()


def send_on_own_socket() -> None:
    """Have verl's sender in this process bind the run's own socket, where ``RolloutWorker`` looks for weights."""
    from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import BucketedWeightSender

    original = BucketedWeightSender.__init__
    if getattr(original, OWN, False):
        return

    @wraps(original)
    def bind_own(self: Any, zmq_handle: str, *arguments: Any, **named: Any) -> None:
        original(self, own_socket(zmq_handle), *arguments, **named)

    setattr(bind_own, OWN, True)
    BucketedWeightSender.__init__ = bind_own


def reload_cpu_weights(model_runner: Any, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
    """Load checkpoint-format weights into a running vLLM CPU engine.

    vLLM's CPU backend prepacks linear weights and drops the originals, so ``load_weights`` fails. MoE layers skip the
    repacking of a second load as long as ``moe_kernel`` is set. The experts then stay stale without any error.
    """
    from vllm.config import set_current_vllm_config

    module: Any
    for module in model_runner.get_model().modules():
        quant_method: Any = getattr(module, "quant_method", None)
        if getattr(quant_method, "moe_kernel", None) is not None:
            quant_method.moe_kernel = None
    with set_current_vllm_config(model_runner.vllm_config):
        model_runner.reload_weights(weights_iterator=iter(weights), is_checkpoint_format=True)


def receive_weights(worker: Any, use_shm: bool) -> list[tuple[str, torch.Tensor]]:
    """All tensors that verl's bucketed sender has for this rollout worker, copied out of the shared buffer."""
    from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import BucketedWeightReceiver

    received: list[tuple[str, torch.Tensor]] = []

    def keep(bucket: Iterable[tuple[str, torch.Tensor]], _last: bool) -> None:
        received.extend((name, tensor.clone()) for name, tensor in bucket)

    handle = worker._get_zmq_handle()
    receiver = BucketedWeightReceiver(zmq_handle=handle, device=torch.device("cpu"), use_shm=use_shm)
    receive_in_unnamed_memory(receiver)
    receiver.receive_weights(on_bucket_received=keep)
    return received
