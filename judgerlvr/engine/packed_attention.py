"""transformers attention for packed sequences where flash-attention is not installed.

transformers' own sdpa builds a tokens x tokens mask for a packed batch. Here the linear layers see the packed batch
without padding, and only the attention itself pads, within buckets of sequences of similar length.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from judgerlvr.engine.profiles import PACKED


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
    tokens = [tensor[0].transpose(0, 1) for tensor in (query, key, value)]
    out = torch.empty_like(tokens[0])
    for index in _buckets(position_ids[0]):
        longest = index.shape[1]
        if sliding_window is not None and longest > sliding_window:
            raise ValueError(f"{PACKED} has no window, {longest} tokens > {sliding_window}; set cluster.attention=sdpa")
        q, k, v = (_pad(tensor, index) for tensor in tokens)
        # Padding is on the right, where a causal query never looks.
        attended = scaled_dot_product_attention(
            q, k, v, dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=True
        )
        real = index >= 0
        out = out.index_copy(0, index[real], attended.transpose(1, 2)[real])
    return out[None], None


def _buckets(positions: torch.Tensor) -> list[torch.Tensor]:
    """Token indices (sequences, longest), -1 on padding, of sequences whose lengths share a power of two."""
    starts = (positions == 0).nonzero().flatten()
    lengths = torch.diff(starts, append=starts.new_tensor([len(positions)]))
    octaves = lengths.double().log2().floor()
    buckets = []
    for octave in octaves.unique():
        first, count = starts[octaves == octave], lengths[octaves == octave]
        steps = torch.arange(int(count.max()), device=positions.device)
        buckets.append(torch.where(steps < count[:, None], first[:, None] + steps, -1))
    return buckets


def _pad(tokens: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """(tokens, heads, dim) -> (sequences, heads, length, dim); padding repeats a real token."""
    return tokens[index.clamp(min=0)].transpose(1, 2)


AttentionInterface.register(PACKED, packed_sdpa)
