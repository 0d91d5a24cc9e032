"""KV connector that transfers no KV. It returns the block indices and experts of a request with its last output.

vLLM's connector is the public way to see the cache blocks of a request when the request ends, and to add to its output
(``kv_transfer_params``). verl hands that output on with the sample. Workers write the choices of each step to stores
addressed by cache slot. The scheduler reads the slots of a finished request before its blocks are freed.
"""

from __future__ import annotations

from typing import Any

import torch
from vllm.distributed import get_tensor_model_parallel_rank
from vllm.distributed.kv_transfer.kv_connector.v1.base import (
    KVConnectorBase_V1,
    KVConnectorMetadata,
    KVConnectorRole,
    SupportsHMA,
)
from vllm.forward_context import get_forward_context

from judgerlvr.hysparse.replay.rollout_choices import KEY, CarriedChoices, carried_sizes
from judgerlvr.hysparse.vllm.checks import check_carried, check_routers
from judgerlvr.hysparse.vllm.choice_store import IndexStore, slots_of
from judgerlvr.hysparse.vllm.compat import routing_capture


class Nothing(KVConnectorMetadata):
    """The scheduler tells the workers nothing."""


class BlockIndexConnector(KVConnectorBase_V1, SupportsHMA):
    """Made by vLLM once in the scheduler and once in each worker."""

    def __init__(self, vllm_config: Any, role: KVConnectorRole, kv_cache_config: Any) -> None:
        super().__init__(vllm_config=vllm_config, role=role, kv_cache_config=kv_cache_config)
        config = vllm_config.model_config.hf_text_config
        self.names = [f"model.layers.{layer}.self_attn.attn" for layer in config.selecting_layers]
        groups = kv_cache_config.kv_cache_groups
        check_carried(vllm_config, {group.kv_cache_spec.block_size for group in groups})
        # Full layers may be spread over several groups, and each group has its own block tables.
        self.groups = [next(n for n, group in enumerate(groups) if name in group.layer_names) for name in self.names]
        self.pages = [groups[group].kv_cache_spec.block_size for group in self.groups]
        slots = kv_cache_config.num_blocks * max(self.pages, default=1)
        shape = (len(self.names), slots, config.num_key_value_heads, config.selection.count)
        engine = vllm_config.kv_transfer_config.engine_id
        self.store = IndexStore(engine, shape)
        self.uncrowded = carried_sizes(config).uncrowded
        self.routers = [f"model.layers.{layer}.mlp.experts" for layer in config.expert_layers]
        shape = (1, slots, len(self.routers), config.num_experts_per_tok)
        # A token's experts lie at its slot of the first full layer's cache.
        self.experts = IndexStore(f"{engine}-experts", shape) if self.routers else None
        if role == KVConnectorRole.SCHEDULER:
            self._forget()  # The workers came first and have opened the stores.
        else:
            layers = vllm_config.compilation_config.static_forward_context
            check_routers(layers[name] for name in self.routers)

    def _forget(self) -> None:
        """In the scheduler, of which an engine has one: print the size of the stores, and unlink them."""
        for what, store in (("block indices", self.store), ("experts", self.experts)):
            if store is not None:
                print(store.describe(what), flush=True)
                store.forget()

    def wait_for_save(self) -> None:
        """In a worker, after a step's forward: keep the choices of its tokens."""
        context = get_forward_context()
        if context.attn_metadata is None:
            return
        # Layers of a group share their slots. One copy from the device for each group, and one for all choices.
        of_group = {
            group: context.attn_metadata[name].slots for group, name in zip(self.groups, self.names, strict=True)
        }
        slots = {group: where.cpu() for group, where in of_group.items()}
        tokens = len(slots[self.groups[0]])
        selected = [context.no_compile_layers[name].impl.selected for name in self.names]
        indices = torch.stack([rows[:tokens] for rows in selected]).to(torch.int16).cpu()
        first = get_tensor_model_parallel_rank() * indices.shape[2]
        for layer, group in enumerate(self.groups):
            self.store.write(layer, slots[group], first, indices[layer])
        if self.experts is not None and first == 0:  # All ranks route alike.
            captured = [routing_capture(context.no_compile_layers[name]).chosen for name in self.routers]
            experts = torch.stack([rows[:tokens] for rows in captured], dim=1).to(torch.int16).cpu()
            self.experts.write(0, slots[self.groups[0]], 0, experts)

    def request_finished_all_groups(
        self, request: Any, block_ids: tuple[list[int], ...]
    ) -> tuple[bool, dict[str, Any] | None]:
        """In the scheduler: choices of crowded rows, and experts of all rows. The last token was never computed."""
        tokens = request.num_tokens - 1
        asked = (request.kv_transfer_params or {}).get(KEY)
        # The second case is a request that was aborted before its prompt was computed.
        if not asked or request.num_computed_tokens < tokens:
            return False, None
        pages = dict(zip(self.groups, self.pages, strict=True))
        slots = {group: slots_of(block_ids[group], page, tokens) for group, page in pages.items()}
        shape = (max(0, tokens - self.uncrowded), len(self.groups), *self.store.rows.shape[2:])
        values = CarriedChoices(tokens, shape, (0,) if self.experts is None else (tokens, *self.experts.rows.shape[2:]))
        # Rows before the first crowded row choose every block that they see, so the trainer knows their choices.
        for layer, group in enumerate(self.groups):
            self.store.read_into(values.crowded[:, layer], layer, slots[group][self.uncrowded :])
        if self.experts is not None:
            self.experts.read_into(values.experts, 0, slots[self.groups[0]])
        return False, values.parameters()

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
        """A step's indices are kept once for all layers."""
