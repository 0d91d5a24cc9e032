"""verl's extension of a vLLM worker, which looks for weights at the run's own socket."""

from __future__ import annotations

from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension

from judgerlvr.engine.private.weights import own_socket


class RolloutWorker(vLLMColocateWorkerExtension):
    """Named in a profile as vLLM's ``worker_extension_cls``."""

    def _get_zmq_handle(self) -> str:
        return own_socket(super()._get_zmq_handle())
