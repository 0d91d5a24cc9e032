"""transformers attention for packed sequences where flash-attention is not installed.

transformers' own sdpa builds a tokens x tokens mask for a packed batch. Here the linear layers see the packed batch
without padding, and only the attention itself pads, within batches of sequences of similar length.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from judgerlvr.engine.devices import PACKED
from judgerlvr.hysparse.buckets import buckets_of


def packed_sdpa(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    position_ids: torch.Tensor | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention of each sequence of a packed batch by itself.

    ``query`` (1, heads, tokens, head_dim), ``key`` and ``value`` (1, kv_heads, tokens, head_dim) of one float dtype;
    ``position_ids`` int (1, tokens), 0 where a sequence starts. Returns ((1, tokens, heads, head_dim), None).

    Raises:
        ValueError: not a packed batch (more than one row, a mask, positions that do not start at 0), or an attention
            other than plain causal: a sliding window shorter than the longest sequence, a softcap, sinks.
    """
    if softcap is not None or s_aux is not None:
        raise ValueError(f"{PACKED} has no softcap and no sinks; set cluster.attention=sdpa or eager")
    if query.shape[0] != 1 or attention_mask is not None or position_ids is None or position_ids[0, 0] != 0:
        raise ValueError(f"{PACKED} takes one packed row with position_ids and no mask; set cluster.attention=sdpa")
    buckets = buckets_of((position_ids[0] == 0).nonzero().flatten(), position_ids.shape[1])
    longest = max(length for _, length in buckets.shapes)
    if sliding_window is not None and longest > sliding_window:
        raise ValueError(f"{PACKED} has no window, {longest} tokens > {sliding_window}; set cluster.attention=sdpa")
    attended = [
        scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=True)
        for q, k, v in zip(*map(buckets.split, (query, key, value)), strict=True)
    ]
    return buckets.join(attended).transpose(1, 2), None


AttentionInterface.register(PACKED, packed_sdpa)
