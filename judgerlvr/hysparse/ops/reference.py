"""Equations 1-7 of HySparse (arXiv 2602.03560), literally: the naive twin of every kernel and the path on CPU.

Every intermediate of size queries x keys is materialised. Logits and softmax are at least float32, and float64 inputs
stay float64. Heads come before tokens: q [batch, heads, queries, dim], k and v [batch, kv_heads, keys, dim].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from judgerlvr.hysparse.ops.segments import Segments
from judgerlvr.hysparse.ops.selection import Selection, blocks_of, group_scores, select_blocks, selected_mask


@dataclass(frozen=True)
class FullPass:
    """Results of a full layer's pass.

    ``out`` [batch, heads, queries, dim]. ``lse`` [batch, heads, queries] is the log of the softmax denominator, the
    sink included. ``block_max`` [batch, heads, queries, blocks] is the largest logit of each block, -inf if no key is
    visible. Blocks count from the start of the query's own sequence.
    """

    out: Tensor
    lse: Tensor
    block_max: Tensor


def wide(tensor: Tensor) -> Tensor:
    """The tensor in the precision of the softmax: float64 if the tensor is float64, else float32."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def visible(segments: Segments, keys: int, first_key: int = 0) -> Tensor:
    """Causal mask within each query's sequence, [batch, queries, keys]. Key 0 has index ``first_key``."""
    where = torch.arange(first_key, first_key + keys, device=segments.starts.device)
    return (where >= segments.starts[..., None]) & (where <= segments.queries[:, None])


def block_of_key(segments: Segments, block: int) -> Tensor:
    """Block number of each key on each query's own grid, [batch, queries, keys]. 0 before the grid starts."""
    where = torch.arange(segments.keys, device=segments.starts.device)
    return (where - segments.starts[..., None]).clamp(min=0) // block


def logits_of(q: Tensor, k: Tensor) -> Tensor:
    """Scaled products of equation 2, [batch, heads, queries, keys]. The query heads of a group share a key head."""
    group = q.shape[1] // k.shape[1]
    return wide(q) @ wide(k).repeat_interleave(group, dim=1).transpose(-1, -2) * q.shape[-1] ** -0.5


def attend(logits: Tensor, v: Tensor, sinks: Tensor | None) -> tuple[Tensor, Tensor]:
    """Softmax over masked ``logits`` (-inf = hidden) times ``v``: output and log normaliser, both wide.

    ``sinks`` [heads] adds exp(sink) to the denominator of its head and nothing to the numerator.
    """
    lse = logits.logsumexp(dim=-1)
    if sinks is not None:
        lse = torch.logaddexp(lse, wide(sinks)[None, :, None].expand_as(lse))
    # No softmax here: with a sink, the weights of the values sum to less than 1.
    weights = (logits - lse[..., None]).exp()
    values = wide(v).repeat_interleave(logits.shape[1] // v.shape[1], dim=1)
    return weights @ values, lse


def full_attention(
    q: Tensor, k: Tensor, v: Tensor, segments: Segments, block: int, sinks: Tensor | None = None
) -> FullPass:
    """Equations 1-3 up to the block maximum: causal attention that also emits each block's largest logit."""
    logits = logits_of(q, k).masked_fill(~visible(segments, k.shape[2])[:, None], -torch.inf)
    out, lse = attend(logits, v, sinks)
    grid = block_of_key(segments, block)[:, None].expand_as(logits)
    empty = logits.new_full((*logits.shape[:-1], blocks_of(segments.keys, block)), -torch.inf)
    # A choice has no gradient.
    block_max = empty.scatter_reduce(-1, grid, logits.detach(), "amax")
    return FullPass(out.to(q.dtype), lse, block_max)


def causal_attention(q: Tensor, k: Tensor, v: Tensor, segments: Segments, sinks: Tensor | None = None) -> Tensor:
    """Equations 1 and 2 alone, for a full layer that no sparse layer follows."""
    logits = logits_of(q, k).masked_fill(~visible(segments, k.shape[2])[:, None], -torch.inf)
    return attend(logits, v, sinks)[0].to(q.dtype)


def block_probabilities(full: FullPass, kv_heads: int) -> Tensor:
    """Equation 3 as printed, with the exponential: S of each KV head, [batch, kv_heads, queries, blocks]."""
    probabilities = (full.block_max - full.lse.detach()[..., None]).exp()
    return probabilities.unflatten(1, (kv_heads, -1)).amax(dim=2)


def full_attention_with_selection(
    q: Tensor, k: Tensor, v: Tensor, segments: Segments, selection: Selection, sinks: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Output of the full layer, and int32 indices [batch, kv_heads, queries, count] for the sparse layers."""
    full = full_attention(q, k, v, segments, selection.block, sinks)
    with torch.no_grad():
        scores = group_scores(full.block_max, full.lse, k.shape[1])
        indices = select_blocks(scores, segments.positions // selection.block, selection)
    return full.out, indices


def share(indices: Tensor, segments: Segments, block: int, group: int) -> Tensor:
    """Identity here. The Triton twin builds union tiles once per full layer so that sparse layers share the tiles."""
    return indices


def sparse_attention(
    q: Tensor, k: Tensor, v: Tensor, indices: Tensor, segments: Segments, block: int, sinks: Tensor | None = None
) -> Tensor:
    """Equations 6 and 7: attention of q over the selected blocks of the full layer's K and V.

    In half-precision models, K and V may come in float32, so that their gradients are summed in float32.
    """
    chosen = selected_mask(indices, blocks_of(segments.keys, block))
    grid = block_of_key(segments, block)[:, None].expand(*chosen.shape[:-1], segments.keys)
    seen = chosen.gather(-1, grid) & visible(segments, k.shape[2])[:, None]
    seen = seen.repeat_interleave(q.shape[1] // k.shape[1], dim=1)
    return attend(logits_of(q, k).masked_fill(~seen, -torch.inf), v, sinks)[0].to(q.dtype)


def window_attention(
    q: Tensor, k: Tensor, v: Tensor, segments: Segments, window: int, sinks: Tensor | None = None
) -> Tensor:
    """Equation 5: attention of q over the layer's own last ``window`` tokens, the query's token included.

    ``k`` and ``v`` may hold the newest keys only, as the window cache does.
    """
    first = segments.keys - k.shape[2]
    where = torch.arange(first, segments.keys, device=q.device)
    near = where > segments.queries[:, None] - window
    seen = (visible(segments, k.shape[2], first) & near)[:, None]
    return attend(logits_of(q, k).masked_fill(~seen, -torch.inf), v, sinks)[0].to(q.dtype)
