"""Selected blocks for the timing of sparse kernels. The overlap of neighbouring queries decides how much they read."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from judgerlvr.hysparse.ops.selection import PADDING, selected_mask


def drifting(context: int, kv_heads: int, block: int, count: int, overlap: float, device: str) -> Tensor:
    """Indices int32 [1, kv_heads, context, count] in which neighbouring queries' sets have Jaccard ``overlap``.

    Slot s holds a block congruent to s modulo ``count``, so that no query names a block twice. The block is drawn
    uniformly from the visible blocks, and drawn anew with the probability that gives the overlap. 0 draws every query's
    set anew.
    """
    draw = torch.Generator(device).manual_seed(0)
    shape = (kv_heads, context, count)
    where, slot = torch.arange(context, device=device)[:, None], torch.arange(count, device=device)
    replaced = count * (1 - overlap) / (1 + overlap)
    renewed = torch.rand(shape, generator=draw, device=device) < (replaced / count if overlap else 1.0)
    renewed |= where == slot * block
    since = torch.where(renewed, where, 0).cummax(dim=1).values
    options = (since // block - slot).div(count, rounding_mode="floor") + 1
    value = torch.rand(shape, generator=draw, device=device).gather(1, since)
    chosen = (value * options).long().clamp(max=context) * count + slot
    beyond = context
    chosen = chosen.masked_fill(options <= 0, beyond).sort(dim=-1).values
    return chosen.masked_fill(chosen == beyond, PADDING).int()[None].contiguous()


def stored(path: Path, context: int, kv_heads: int, block: int, device: str) -> Tensor:
    """A trained model's indices: a .pt file of {"indices": [1, heads, tokens, count], "block": int}.

    The first ``context`` tokens are taken. If the file has fewer KV heads, they are repeated. Raises ValueError for
    another block or a shorter text.
    """
    record = torch.load(path, map_location=device, weights_only=True)
    indices = record["indices"].int()
    if record["block"] != block or indices.shape[2] < context:
        raise ValueError(f"{path} holds {indices.shape[2]} tokens in blocks of {record['block']}")
    repeated = indices.repeat(1, -(-kv_heads // indices.shape[1]), 1, 1)
    return repeated[:1, :kv_heads, :context].contiguous()


def jaccard(indices: Tensor, block: int) -> float:
    """Mean Jaccard overlap of neighbouring queries' sets, over the last 2,048 queries."""
    tail = indices[:, :, -2048:]
    mask = selected_mask(tail, int(indices.max()) + 1)
    both = (mask[:, :, 1:] & mask[:, :, :-1]).sum(-1).double()
    either = (mask[:, :, 1:] | mask[:, :, :-1]).sum(-1).double()
    return (both / either).mean().item()
