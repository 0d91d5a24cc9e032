"""vLLM worker extension for CPU rollouts: takes verl's weight update and repacks it for the CPU kernels."""

from __future__ import annotations

from typing import Any

from judgerlvr.engine.private.rollout_worker import RolloutWorker
from judgerlvr.engine.private.weights import receive_weights, reload_cpu_weights


class CpuWorkerExtension(RolloutWorker):
    """Named in the cpu profile as vLLM's ``worker_extension_cls``."""

    def update_weights_from_ipc(
        self, peft_config: Any = None, base_sync_done: bool = False, use_shm: bool = False
    ) -> None:
        if peft_config:
            raise ValueError("LoRA adapters are not synced on CPU; train all weights")
        reload_cpu_weights(self.model_runner, receive_weights(self, use_shm))
