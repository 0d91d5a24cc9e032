"""Attention for packed sequences on any device, for where flash-attention is not installed.

The sdpa of transformers builds a tokens x tokens mask for a packed batch. Here each sequence attends to itself alone.
A GPU uses torch's attention over sequences of different lengths. Any other device pads sequences of similar lengths.
"""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from judgerlvr.engine.devices import PACKED
from judgerlvr.engine.policy_passes.distinct_prefixes import DistinctPrefixes
from judgerlvr.engine.policy_passes.shared_row import SharedRow
from judgerlvr.hysparse.ops.buckets import Buckets, buckets_of

# Sequences from this length on may be padded. Between the two measured lengths, by interpolation.
LONG = 16_384
# Padded work, as a multiple of the exact work, that still pays.
MOST_PADDING = 1.5
# torch's kernels for padded attention, the fastest on a Hopper GPU first.
FASTEST_PADDED = [
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]


@dataclass(frozen=True)
class PackedRow:
    """Where the sequences of one row begin, worked out once for all layers. Each read of a GPU's tensor is a wait.

    ``position_ids`` int [1, tokens], 0 where a sequence starts. ``starts`` int32 [sequences + 1], from 0 to tokens.
    """

    position_ids: Tensor
    starts: Tensor
    longest: int

    @cached_property
    def padding_pays(self) -> bool:
        """Whether padded attention is faster than torch's varlen attention.

        Measured on one H100, updates of a dense 0.6 B policy. For one sequence of 65,536 tokens, 87 us a token padded
        (cuDNN) and 131 us by varlen (FlashAttention 2). For sequences of 2,048 to 4,096 tokens, 35 us and 33 us.
        """
        if self.longest < LONG:
            return False
        exact = int(self.starts.diff().double().square().sum())
        padded = sum(count * longest**2 for count, longest in self.buckets.shapes)
        return padded <= MOST_PADDING * exact

    @cached_property
    def buckets(self) -> Buckets:
        return buckets_of(self.starts[:-1].long(), self.position_ids.shape[1])


def packed_row(position_ids: Tensor) -> PackedRow:
    """Raises ValueError where the row does not begin with a sequence."""
    firsts = (position_ids[0] == 0).nonzero().flatten()
    if not len(firsts) or int(firsts[0]):
        raise ValueError(f"{PACKED} takes one packed row whose first position is 0; set cluster.attention=sdpa")
    tokens = position_ids.shape[1]
    starts = torch.cat([firsts, firsts.new_tensor([tokens])]).to(torch.int32)
    return PackedRow(position_ids, starts, int(starts.diff().max()))


_last: list[PackedRow] = []


def _row_of(position_ids: Tensor) -> PackedRow:
    """The row of the layer before, where this layer has the same positions."""
    if not _last or _last[0].position_ids is not position_ids:
        _last[:] = [packed_row(position_ids)]
    return _last[0]


def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    position_ids: Tensor | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    prefixes: DistinctPrefixes | None = None,
    shared: SharedRow | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each sequence of a packed batch.

    ``query`` (1, heads, tokens, head_dim), ``key`` and ``value`` (1, kv_heads, tokens, head_dim) of one float dtype.
    ``position_ids`` int (1, tokens), 0 where a sequence starts. Returns ((1, tokens, heads, head_dim), None).
    With ``prefixes`` all tensors hold distinct prefixes in the place of tokens. With ``shared`` all tensors hold this
    rank's tokens of the row, and each rank attends for a part of the heads.

    Raises:
        ValueError: the batch is not packed (more than one row, a mask, a first position other than 0), or the
            attention is not plain causal (a window shorter than the longest sequence, a softcap, sinks).
    """
    if softcap is not None or s_aux is not None:
        raise ValueError(f"{PACKED} has no softcap and no sinks; set cluster.attention=sdpa or eager")
    if query.shape[0] != 1 or attention_mask is not None or position_ids is None:
        raise ValueError(f"{PACKED} takes one packed row with position_ids and no mask; set cluster.attention=sdpa")
    if shared is not None:
        query, key, value = map(shared.all_tokens, (query, key, value))
        position_ids = shared.position_ids
    row = _row_of(prefixes.position_ids if prefixes else position_ids)
    if sliding_window is not None and row.longest > sliding_window:
        raise ValueError(f"{PACKED} has no window, {row.longest} tokens > {sliding_window}; set cluster.attention=sdpa")
    attended = _attend(query, key, value, row, scaling, dropout, prefixes)
    return shared.all_heads(attended) if shared else attended, None


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    row: PackedRow,
    scaling: float | None,
    dropout: float,
    prefixes: DistinctPrefixes | None,
) -> Tensor:
    if dropout or not takes_varlen(query) or row.padding_pays:
        return bucketed(query, key, value, row, scaling, dropout, prefixes)
    if prefixes is None:
        return varlen(query, key, value, row, scaling)
    wide_query, wide_key, wide_value = map(prefixes.widen, (query, key, value))
    attended = varlen(wide_query, wide_key, wide_value, row, scaling)
    return attended.index_select(1, prefixes.kept)


def bucketed(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    row: PackedRow,
    scaling: float | None,
    dropout: float = 0.0,
    prefixes: DistinctPrefixes | None = None,
) -> Tensor:
    """Padding within batches of sequences whose lengths share a power of two."""
    buckets = prefixes.narrow(row.buckets) if prefixes else row.buckets
    with fastest_padded(query.is_cuda):
        attended = [
            scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=True)
            for q, k, v in zip(*map(buckets.split, (query, key, value)), strict=True)
        ]
    return buckets.join(attended).transpose(1, 2)


def fastest_padded(on_gpu: bool) -> AbstractContextManager[None]:
    """Inside, a GPU's padded attention runs on cuDNN, where cuDNN takes the tensors.

    vLLM's import turns cuDNN off for the whole process. Padding pays on cuDNN alone.
    """
    return sdpa_kernel(FASTEST_PADDED, set_priority=True) if on_gpu else nullcontext()


def takes_varlen(query: Tensor) -> bool:
    """Whether torch has attention over sequences of different lengths for a tensor like ``query``."""
    half = query.dtype in (torch.bfloat16, torch.float16)
    return half and query.is_cuda and query.shape[-1] % 8 == 0 and _varlen_keywords() is not None


def varlen(query: Tensor, key: Tensor, value: Tensor, row: PackedRow, scaling: float | None) -> Tensor:
    """Attention without padding. Shapes as in ``packed_attention``."""
    from torch.nn.attention.varlen import varlen_attn

    keywords = _varlen_keywords()
    assert keywords is not None
    q, k, v = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    if "enable_gqa" not in keywords and q.shape[1] != k.shape[1]:
        k, v = (tensor.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for tensor in (k, v))
    attended: Tensor = varlen_attn(q, k, v, row.starts, row.starts, row.longest, row.longest, scale=scaling, **keywords)
    return attended[None]


@cache
def _varlen_keywords() -> dict[str, Any] | None:
    """Arguments that make this torch's varlen attention causal. None without such an attention or its scale."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    known = inspect.signature(varlen_attn).parameters
    if "scale" not in known:
        return None
    causal: dict[str, Any] = {"window_size": (-1, 0)} if "window_size" in known else {"is_causal": True}
    return causal | ({"enable_gqa": True} if "enable_gqa" in known else {})


AttentionInterface.register(PACKED, packed_attention)
