"""KV connector that transfers no KV. The connector returns a request's experts with the request's last output.

For vLLM 0.31 on a CPU. vLLM returns experts from model runner V2 alone, and the CPU lock runs V1. A step's choices are
kept by cache slot, as HySparse's connector keeps blocks. A request's choices are read before its slots are freed.
"""

from __future__ import annotations

from typing import Any

import torch
from vllm.distributed import get_tensor_model_parallel_rank
from vllm.distributed.kv_transfer.kv_connector.v1.base import KVConnectorBase_V1, KVConnectorMetadata, KVConnectorRole
from vllm.forward_context import get_forward_context

from judgerlvr.engine.rollout_experts.rows import KEY, to_parameters
from judgerlvr.hysparse.vllm.choice_store import IndexStore, slots_of
from judgerlvr.hysparse.vllm.compat import routing_capture, set_routing_capture
from judgerlvr.hysparse.vllm.routing import ExpertCapture


class Nothing(KVConnectorMetadata):
    """The scheduler tells the workers nothing."""


class ExpertConnector(KVConnectorBase_V1):
    """Made by vLLM once in the scheduler and once in each worker, for a model whose layers are all full attention."""

    def __init__(self, vllm_config: Any, role: KVConnectorRole, kv_cache_config: Any) -> None:
        super().__init__(vllm_config=vllm_config, role=role, kv_cache_config=kv_cache_config)
        config = vllm_config.model_config.hf_text_config
        (group,) = kv_cache_config.kv_cache_groups
        self.page = group.kv_cache_spec.block_size
        self.attention = group.layer_names[0]
        layers, top_k = config.num_hidden_layers, config.num_experts_per_tok
        slots = kv_cache_config.num_blocks * self.page
        self.store = IndexStore(f"{vllm_config.kv_transfer_config.engine_id}-experts", (1, slots, layers, top_k))
        self.routers = [f"model.layers.{layer}.mlp.experts" for layer in range(layers)]
        if role == KVConnectorRole.SCHEDULER:
            print(self.store.describe("experts"), flush=True)
            self.store.forget()  # made after the workers, which have opened it
        else:
            known = vllm_config.compilation_config.static_forward_context
            most = vllm_config.scheduler_config.max_num_batched_tokens
            for name in filter(known.__contains__, self.routers):
                set_routing_capture(known[name], ExpertCapture(most, top_k))
            # Stands for a layer without a router.
            self.none = torch.zeros(most, top_k, dtype=torch.int32)

    def wait_for_save(self) -> None:
        """In a worker, after a step's forward: keep the choices of its tokens."""
        context = get_forward_context()
        if context.attn_metadata is None or get_tensor_model_parallel_rank():  # all ranks route alike
            return
        slots = context.attn_metadata[self.attention].slot_mapping.cpu()
        layers = [context.no_compile_layers.get(name) for name in self.routers]
        chosen = [self.none if layer is None else routing_capture(layer).chosen for layer in layers]
        experts = torch.stack([rows[: len(slots)] for rows in chosen], dim=1).to(torch.int16)
        self.store.write(0, slots, 0, experts)

    def request_finished(self, request: Any, block_ids: list[int]) -> tuple[bool, dict[str, Any] | None]:
        """In the scheduler: the choices of all tokens but the last, which no forward pass has seen."""
        tokens = request.num_tokens - 1
        asked = (request.kv_transfer_params or {}).get(KEY)
        if not asked or request.num_computed_tokens < tokens:  # the second: aborted before its prompt was computed
            return False, None
        return False, to_parameters(self.store.read(0, slots_of(block_ids, self.page, tokens)))

    def get_num_new_matched_tokens(self, request: Any, num_computed_tokens: int) -> tuple[int, bool]:
        return 0, False

    def update_state_after_alloc(self, request: Any, blocks: Any, num_external_tokens: int) -> None:
        """Nothing is loaded."""

    def build_connector_meta(self, scheduler_output: Any) -> KVConnectorMetadata:
        return Nothing()

    def start_load_kv(self, forward_context: Any, **kwargs: Any) -> None:
        """Nothing is loaded."""

    def wait_for_layer_load(self, layer_name: str) -> None:
        """Nothing is loaded."""

    def save_kv_layer(self, layer_name: str, kv_layer: Any, attn_metadata: Any, **kwargs: Any) -> None:
        """A step's experts are kept once for all layers."""
