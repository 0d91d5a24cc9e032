"""Weight updates of a running vLLM CPU engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch


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

    receiver = BucketedWeightReceiver(zmq_handle=worker._get_zmq_handle(), device=torch.device("cpu"), use_shm=use_shm)
    receiver.receive_weights(on_bucket_received=keep)
    return received
