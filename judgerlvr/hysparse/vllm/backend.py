"""vLLM attention backend of full layers that select, and of the sparse layers that read their cache and selection.

One class serves both roles. A layer with a KV-sharing target is a reader. The selection travels in a buffer that the
full layer owns. The buffer is written and read inside the attention operations, and nothing crosses as a Python value.
A sparse layer's input depends on the full layer's output, so the order is given. The selection lives for one step.
Every query selects again from cached keys, so chunked prefill, preemption and prefix-cache hits need nothing special.
``connector`` keeps the selection for the trainer.

On a GPU, kernels read the pages of a decoding request in place. Prefill copies the visible keys once a hybrid block.
The reference copies the keys of every request once a layer.
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

from judgerlvr.hysparse.ops.dispatch import operations, paged_kernels
from judgerlvr.hysparse.ops.kernel_shapes import prefill_reserve
from judgerlvr.hysparse.ops.selection import PADDING, Selection
from judgerlvr.hysparse.vllm.checks import check_group
from judgerlvr.hysparse.vllm.compat import (
    BACKEND_NAME,
    cache_order,
    cache_shape,
    host_lengths,
    split_decodes_and_prefills,
)
from judgerlvr.hysparse.vllm.query_batches import (
    Piece,
    QueryBatch,
    Shared,
    bounds_for,
    keys_and_values,
    pieces,
    query_batches,
    write,
)

# FlashAttention serves the window layers on a GPU. It takes only pages of multiples of this number.
PAGE_STEP = 16


@dataclass
class HySparseMetadata(AttentionMetadata):
    """One step: ``lengths`` [requests] with new tokens, ``block_table`` [requests, pages], and the cache ``slots``
    [tokens] of its tokens, -1 for padded tokens.

    The first ``decodes`` requests have a single new token each, and kernels read their pages. ``pieces`` holds the
    other requests. No request grows beyond ``longest`` tokens.
    """

    lengths: Tensor
    block_table: Tensor
    slots: Tensor
    longest: int
    decodes: int
    pieces: list[Piece]
    planned: dict[int, list[QueryBatch]] = field(default_factory=dict)

    def batches(self, page: int) -> list[QueryBatch]:
        """The pieces as rectangles, planned once for all layers."""
        if page not in self.planned:
            bounds = bounds_for(self.block_table.device.type)
            self.planned[page] = query_batches(self.pieces, bounds, self.block_table, page)
        return self.planned[page]


class HySparseMetadataBuilder(AttentionMetadataBuilder[HySparseMetadata]):
    """Refuses wrong cache groups at start, and then splits the decoding requests of a step from the other requests.

    A step of decodes alone needs nothing from the host, so a CUDA graph can capture the step.
    """

    _cudagraph_support = AttentionCGSupport.UNIFORM_SINGLE_TOKEN_DECODE

    def __init__(self, kv_cache_spec: Any, layer_names: list[str], vllm_config: Any, device: torch.device) -> None:
        super().__init__(kv_cache_spec, layer_names, vllm_config, device)
        check_group(kv_cache_spec, vllm_config.model_config.hf_text_config)
        self.longest = vllm_config.model_config.max_model_len
        self.bounds = bounds_for(device.type)
        self.has_kernels = paged_kernels(device.type) is not None
        if self.has_kernels:
            self._init_reorder_batch_threshold(1)  # vLLM then sorts requests with one new token to the front.

    @classmethod
    def get_cudagraph_support(cls, vllm_config: Any, kv_cache_spec: Any) -> AttentionCGSupport:
        """None for the reference, because the host plans the reference's work."""
        has_kernels = paged_kernels(vllm_config.device_config.device_type) is not None
        return cls._cudagraph_support if has_kernels else AttentionCGSupport.NEVER

    def build(self, common_prefix_len: int, common_attn_metadata: Any, fast_build: bool = False) -> HySparseMetadata:
        """``common_prefix_len`` and ``fast_build`` serve cascades and speculation, which this backend does not have."""
        common = common_attn_metadata
        decodes = split_decodes_and_prefills(common)[0] if self.has_kernels else 0
        found = self._pieces(common, decodes) if decodes < common.num_reqs else []
        tables = common.block_table_tensor, common.slot_mapping
        return HySparseMetadata(common.seq_lens, *tables, self.longest, decodes, found)

    def _pieces(self, common: Any, first: int) -> list[Piece]:
        lengths = host_lengths(common).tolist()
        return list(pieces(common.query_start_loc_cpu.tolist(), lengths, self.bounds.queries, first))


class HySparseBackend(AttentionBackend):
    """Cache layout and roles. ``backend_for`` makes the class for one selection block."""

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

    @staticmethod
    def get_kv_cache_stride_order(include_num_layers_dimension: bool = False) -> tuple[int, ...]:
        return cache_order(include_num_layers_dimension)


@cache
def backend_for(block: int) -> type[HySparseBackend]:
    """The backend whose pages hold whole selection blocks of ``block`` tokens. One name keeps one attention group."""
    return type(HySparseBackend.__name__, (HySparseBackend,), {"page_multiple": lcm(block, PAGE_STEP)})


class HySparseImpl(AttentionImpl[HySparseMetadata]):
    """Both roles over paged caches, with the operations of ``ops.dispatch``.

    ``selection`` says how a full layer picks. ``source`` is the full layer's implementation for a sparse layer, and
    None for a full layer. ``sinks`` [heads] is the layer's parameter. The parameter is read at each call, so that
    weight updates take effect.
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
        longest: int = 0,
    ) -> None:
        self.num_heads, self.head_size, self.scale = num_heads, head_size, scale
        self.num_kv_heads = num_kv_heads or num_heads
        self.kv_cache_dtype = kv_cache_dtype
        self.kv_sharing_target_layer_name, self.longest = kv_sharing_target_layer_name, longest
        self.selection, self.source, self.sinks = selection, source, sinks
        # [tokens of a step, kv_heads, count] block numbers of each token's own request.
        shape = (max_tokens, self.num_kv_heads, selection.count)
        own = torch.full(shape if source is None else (0,), PADDING, dtype=torch.int32)
        self.selected: Tensor = own if source is None else source.selected

    def do_kv_cache_update(
        self, layer: Any, key: Tensor, value: Tensor, kv_cache: Tensor, slot_mapping: Tensor
    ) -> None:
        """Write K and V [tokens, kv_heads, dim] to their slots. Padded tokens have slot -1."""
        write(key, value, kv_cache, slot_mapping)

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
        if attn_metadata is None:  # vLLM measures memory or warms up.
            self._reserve(query, kv_cache)
            return output.zero_()
        if attn_metadata.decodes:
            self._decode(query, kv_cache, attn_metadata, output)
        for batch in attn_metadata.batches(kv_cache.shape[2]):
            q = query[batch.tokens].transpose(1, 2)
            out = self._select(q, kv_cache, batch) if self.source is None else self._read(q, kv_cache, batch)
            output[batch.tokens] = out.transpose(1, 2)
        return output

    def _decode(self, query: Tensor, kv_cache: Tensor, step: HySparseMetadata, output: Tensor) -> None:
        """The step's first requests, over their pages."""
        kernels, rows = paged_kernels(query.device.type), step.decodes
        assert kernels is not None, "the builder finds decodes for kernels only"
        pages = kernels.Pages(kv_cache, step.block_table[:rows], step.lengths[:rows], step.longest)
        q, selected, out = query[:rows], self.selected[:rows], output[:rows]
        if self.source is None:
            kernels.full_decode(q, pages, self.selection, selected, out, self.sinks)
        else:
            kernels.sparse_decode(q, pages, self.selection.block, selected, out, self.sinks)

    def _select(self, q: Tensor, kv_cache: Tensor, batch: QueryBatch) -> Tensor:
        """A full layer's attention [rows, heads, queries, dim]. The choice of blocks goes to ``selected``."""
        # The speed of KV-outer kernels inside vLLM is not measured, so the kernels must be asked for here.
        run, selection = operations(q.device.type, overlap_by_default=False), self.selection
        batch.shared = None  # The hybrid block before has read its own.
        k, v = keys_and_values(kv_cache, batch.slots)
        out, indices = run.full_attention_with_selection(q, k, v, batch.segments, selection, self.sinks)
        self.selected[batch.tokens] = indices.transpose(1, 2)
        if batch.keeps:
            group = q.shape[1] // k.shape[1]
            batch.shared = Shared(k, v, run.share(indices, batch.segments, selection.block, group))
        return out

    def _read(self, q: Tensor, kv_cache: Tensor, batch: QueryBatch) -> Tensor:
        """A sparse layer's attention over the blocks that its full layer chose."""
        shared = batch.shared
        if shared is None:
            indices = self.selected[batch.tokens].transpose(1, 2)
            shared = Shared(*keys_and_values(kv_cache, batch.slots), indices)
        run, block = operations(q.device.type), self.selection.block
        return run.sparse_attention(q, shared.k, shared.v, shared.chosen, batch.segments, block, self.sinks)

    def _reserve(self, query: Tensor, kv_cache: Tensor) -> None:
        """Take the memory of a step's kernels for a moment, while vLLM measures the memory left for the cache."""
        if self.source is None and not kv_cache.numel() and paged_kernels(query.device.type) is not None:
            taken = prefill_reserve(self.longest, self.num_kv_heads, self.head_size, query.element_size())
            query.new_empty(taken, dtype=torch.uint8)
