"""Selected blocks for the timing of sparse kernels. The overlap of neighbouring queries decides how much they read."""

from __future__ import annotations

import torch
from torch import Tensor

from judgerlvr.hysparse.ops.selection import PADDING, selected_mask

LAST = 2048  # queries of ``jaccard``
CHUNK = 16384  # queries compared at once


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


def popular(context: int, kv_heads: int, block: int, count: int, exponent: float, device: str) -> Tensor:
    """Indices int32 [1, kv_heads, context, count] drawn anew for each query, some blocks more often than others.

    The block of popularity rank r, in a random order for each KV head, weighs 1 / r ** ``exponent``. A barely trained
    model's choices of 16 blocks of 64 had Jaccard .28, .26 and .17 at 32k, 64k and 128k, and unions of 16 queries of
    91, 103 and 114 blocks. Exponents 1.15, 1.25 and 1.3 give unions of 90, 102 and 111 blocks, but Jaccard .18, .17
    and .20. Exponent 1.45 gives Jaccard .27 at 32k, but unions of 75 blocks.
    """
    draw = torch.Generator(device).manual_seed(0)
    blocks = -(-context // block)
    number, own = torch.arange(blocks, device=device), torch.arange(context, device=device)[:, None] // block
    found = torch.full((1, kv_heads, context, count), PADDING, dtype=torch.int32, device=device)
    for head in range(kv_heads):
        rank = torch.randperm(blocks, generator=draw, device=device) + 1
        # The largest of weights raised by Gumbel noise are a draw without replacement.
        noise = torch.empty(context, blocks, device=device).exponential_(generator=draw).log_().neg_()
        score = noise.sub_(exponent * rank.log()).masked_fill_(number > own, -torch.inf)
        best = score.topk(min(count, blocks), dim=-1)
        chosen = best.indices.masked_fill(best.values == -torch.inf, blocks).sort(dim=-1).values
        found[0, head, :, : chosen.shape[-1]] = chosen.masked_fill(chosen == blocks, PADDING).int()
    return found


def jaccard(indices: Tensor, block: int) -> float:
    """Mean Jaccard overlap of neighbouring queries' sets, over the last 2,048 queries.

    The goals of the kernels name this figure. Earlier queries choose among fewer blocks and are more alike.
    """
    tail = indices[:, :, -LAST:]
    mask = selected_mask(tail, int(indices.max()) + 1)
    both = (mask[:, :, 1:] & mask[:, :, :-1]).sum(-1).double()
    either = (mask[:, :, 1:] | mask[:, :, :-1]).sum(-1).double()
    return (both / either).mean().item()


def jaccard_of_all(indices: Tensor) -> float:
    """The same mean over all queries of [batch, kv_heads, tokens, count], and so over all that a kernel is timed on."""
    total, pairs = 0.0, 0
    for rows in indices.flatten(0, 1):
        for first in range(0, len(rows) - 1, CHUNK):
            part = rows[first : first + CHUNK + 1]
            size = (part != PADDING).sum(-1)
            same = (part[1:, :, None] == part[:-1, None, :]) & (part[1:, :, None] != PADDING)
            both = same.sum((-1, -2)).double()
            total += (both / (size[1:] + size[:-1] - both)).sum().item()
            pairs += len(both)
    return total / pairs
