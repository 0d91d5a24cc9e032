"""vLLM attention backend of full layers that select and of the sparse layers that read their cache and selection.

One class for both roles: a layer with a KV-sharing target is a reader. The selection travels in a buffer that the
full layer owns, written and read inside the attention operations: nothing crosses as a Python value, and a sparse
layer's input depends on the full layer's output, so the order is given. It lives for one step, so chunked prefill,
preemption and prefix-cache hits need nothing special: every query selects again from cached keys. ``connector``
keeps it for the trainer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from math import lcm
from typing import Any, ClassVar

import torch
from torch import Tensor
from vllm.v1.attention.backend import (
    AttentionBackend,
    AttentionCGSupport,
    AttentionImpl,
    AttentionMetadata,
    AttentionMetadataBuilder,
    AttentionType,
    MultipleOf,
)

from judgerlvr.hysparse.ops.dispatch import operations
from judgerlvr.hysparse.ops.selection import PADDING, Selection
from judgerlvr.hysparse.vllm.checks import check_group
from judgerlvr.hysparse.vllm.compat import BACKEND_NAME, cache_shape
from judgerlvr.hysparse.vllm.paged import QueryBatch, keys_and_values, query_batches

# FlashAttention, which serves the window layers on a GPU, takes pages of multiples of this only.
PAGE_STEP = 16


@dataclass
class HySparseMetadata(AttentionMetadata):
    """One step: ``query_starts`` [requests + 1], ``lengths`` [requests], ``block_table`` [requests, pages], and the
    cache ``slots`` [tokens] of its tokens, -1 for padded ones."""

    query_starts: Tensor
    lengths: Tensor
    block_table: Tensor
    slots: Tensor
    planned: dict[int, list[QueryBatch]] = field(default_factory=dict)

    def batches(self, page: int) -> list[QueryBatch]:
        """The step cut into rectangles, planned once for all layers."""
        if page not in self.planned:
            self.planned[page] = query_batches(self.query_starts, self.lengths, self.block_table, page)
        return self.planned[page]


class HySparseMetadataBuilder(AttentionMetadataBuilder[HySparseMetadata]):
    """Refuses wrong cache groups at start, then passes on what vLLM knows of a step."""

    _cudagraph_support = AttentionCGSupport.NEVER  # batches are planned on the host

    def __init__(self, kv_cache_spec: Any, layer_names: list[str], vllm_config: Any, device: torch.device) -> None:
        super().__init__(kv_cache_spec, layer_names, vllm_config, device)
        check_group(kv_cache_spec, vllm_config.model_config.hf_text_config)

    def build(self, common_prefix_len: int, common_attn_metadata: Any, fast_build: bool = False) -> HySparseMetadata:
        """``common_prefix_len`` and ``fast_build`` serve cascades and speculation, which this backend has not."""
        common = common_attn_metadata
        tables = common.block_table_tensor, common.slot_mapping
        return HySparseMetadata(common.query_start_loc, common.seq_lens, *tables)


class HySparseBackend(AttentionBackend):
    """Cache layout and roles; ``backend_for`` makes the class for one selection block."""

    forward_includes_kv_cache_update = False
    supported_dtypes: ClassVar[list[torch.dtype]] = [torch.float32, torch.float16, torch.bfloat16]
    page_multiple: ClassVar[int] = PAGE_STEP

    @staticmethod
    def get_name() -> str:
        return BACKEND_NAME

    @staticmethod
    def get_impl_cls() -> type[HySparseImpl]:
        return HySparseImpl

    @staticmethod
    def get_builder_cls() -> type[HySparseMetadataBuilder]:
        return HySparseMetadataBuilder

    @classmethod
    def get_supported_kernel_block_sizes(cls, kv_cache_spec: Any = None) -> list[Any]:
        return [MultipleOf(cls.page_multiple)]

    @staticmethod
    def get_kv_cache_shape(
        num_blocks: int, block_size: int, num_kv_heads: int, head_size: int, cache_dtype_str: str = "auto"
    ) -> tuple[int, ...]:
        return cache_shape(num_blocks, block_size, num_kv_heads, head_size)


@cache
def backend_for(block: int) -> type[HySparseBackend]:
    """The backend whose pages hold whole selection blocks of ``block`` tokens; same name, so one attention group."""
    return type(HySparseBackend.__name__, (HySparseBackend,), {"page_multiple": lcm(block, PAGE_STEP)})


class HySparseImpl(AttentionImpl[HySparseMetadata]):
    """Both roles over paged caches, with the operations of ``ops.dispatch``.

    ``selection`` says how a full layer picks. ``source`` is the full layer's implementation for a sparse layer, None
    for a full one. ``sinks`` [heads] is the layer's parameter, read at each call so that weight updates reach it.
    """

    def __init__(
        self,
        num_heads: int,
        head_size: int,
        scale: float,
        num_kv_heads: int | None = None,
        alibi_slopes: list[float] | None = None,
        sliding_window: int | None = None,
        kv_cache_dtype: str = "auto",
        logits_soft_cap: float | None = None,
        attn_type: str = AttentionType.DECODER,
        kv_sharing_target_layer_name: str | None = None,
        *,
        selection: Selection,
        source: HySparseImpl | None = None,
        sinks: Tensor | None = None,
        max_tokens: int = 0,
    ) -> None:
        self.num_heads, self.head_size, self.scale = num_heads, head_size, scale
        self.num_kv_heads = num_kv_heads or num_heads
        self.kv_cache_dtype = kv_cache_dtype
        self.kv_sharing_target_layer_name = kv_sharing_target_layer_name
        self.selection, self.source, self.sinks = selection, source, sinks
        # [tokens of a step, kv_heads, count] block numbers of each token's own request.
        shape = (max_tokens, self.num_kv_heads, selection.count)
        own = torch.full(shape if source is None else (0,), PADDING, dtype=torch.int32)
        self.selected: Tensor = own if source is None else source.selected

    def do_kv_cache_update(
        self, layer: Any, key: Tensor, value: Tensor, kv_cache: Tensor, slot_mapping: Tensor
    ) -> None:
        """Write K and V [tokens, kv_heads, dim] to their slots; padded tokens have slot -1."""
        count, page = slot_mapping.shape[0], kv_cache.shape[2]
        kept = slot_mapping >= 0
        slots = slot_mapping[kept]
        both = torch.cat([key[:count], value[:count]], dim=-1)[kept]
        kv_cache[slots // page, :, slots % page] = both.to(kv_cache.dtype)

    def forward(
        self,
        layer: Any,
        query: Tensor,
        key: Tensor | None,
        value: Tensor | None,
        kv_cache: Tensor,
        attn_metadata: HySparseMetadata | None,
        output: Tensor,
        output_scale: Tensor | None = None,
        output_block_scale: Tensor | None = None,
    ) -> Tensor:
        """Attention of ``query`` [tokens, heads, dim] over the cache, written to ``output`` of the same shape."""
        if attn_metadata is None:  # vLLM's run that measures memory
            return output.zero_()
        for batch in attn_metadata.batches(kv_cache.shape[2]):
            k, v = keys_and_values(kv_cache, batch.slots)
            out = self._attend(query[batch.tokens].transpose(1, 2), k, v, batch)
            output[batch.tokens] = out.transpose(1, 2)
        return output

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, batch: QueryBatch) -> Tensor:
        run = operations(q.device.type)
        if self.source is None:
            out, indices = run.full_attention_with_selection(q, k, v, batch.segments, self.selection, self.sinks)
            self.selected[batch.tokens] = indices.transpose(1, 2)
            return out
        indices = self.selected[batch.tokens].transpose(1, 2)
        return run.sparse_attention(q, k, v, indices, batch.segments, self.selection.block, self.sinks)
