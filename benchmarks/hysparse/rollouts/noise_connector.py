"""KV connector of benchmarks: the KV caches are filled with noise at the start.

A request may ask for noise. vLLM then takes the prompt as computed. A real prefill would take minutes.
Decoding costs the same over noise.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from vllm.distributed.kv_transfer.kv_connector.v1.base import KVConnectorBase_V1, KVConnectorMetadata, SupportsHMA

# Entry of a request in vLLM's ``SamplingParams.extra_args``.
COMPUTED = {"kv_transfer_params": {"computed": True}}
TRANSFER = {
    "kv_connector": "NoiseConnector",
    "kv_connector_module_path": __name__,
    "kv_role": "kv_both",
}


class Nothing(KVConnectorMetadata):
    """The scheduler tells the workers nothing."""


class NoiseConnector(KVConnectorBase_V1, SupportsHMA):
    """Made by vLLM once in the scheduler and once in each worker."""

    def register_kv_caches(self, kv_caches: dict[str, Tensor]) -> None:
        """Fill the caches. Layers may be views of one memory, which is filled once."""
        for cache in {cache.data_ptr(): cache for cache in kv_caches.values()}.values():
            cache.normal_()

    def get_num_new_matched_tokens(self, request: Any, num_computed_tokens: int) -> tuple[int, bool]:
        asked = bool((request.kv_transfer_params or {}).get("computed"))
        return (request.num_tokens - num_computed_tokens - 1 if asked else 0), False

    def request_finished_all_groups(self, request: Any, block_ids: Any) -> tuple[bool, None]:
        return False, None

    def build_connector_meta(self, scheduler_output: Any) -> KVConnectorMetadata:
        return Nothing()

    def update_state_after_alloc(self, request: Any, blocks: Any, num_external_tokens: int) -> None:
        """The noise is there."""

    def start_load_kv(self, forward_context: Any, **kwargs: Any) -> None:
        """The noise is there."""

    def wait_for_layer_load(self, layer_name: str) -> None:
        """The noise is there."""

    def save_kv_layer(self, layer_name: str, kv_layer: Any, attn_metadata: Any, **kwargs: Any) -> None:
        """Nothing is saved."""

    def wait_for_save(self) -> None:
        """Nothing is saved."""
