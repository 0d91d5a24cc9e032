"""A loss that makes neighbouring queries choose the same blocks, for a model that is trained to overlap.

A set of chosen blocks has no gradient. Each block gets a soft membership instead: a sigmoid of its score over the
threshold between the last chosen block and the first that is left out, in units of the spread of the query's scores.
The loss is one less the soft Jaccard overlap of two neighbours. Scaling all scores thus changes nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from judgerlvr.hysparse.model.attention import FullAttention
from judgerlvr.hysparse.model.modeling import HySparseForCausalLM
from judgerlvr.hysparse.ops.selection import Selection, blocks_of, group_scores

SOFTNESS = 0.25  # width of the sigmoid, in standard deviations of a query's scores


def drawn_pairs(tokens: int, selection: Selection, count: int, draw: torch.Generator) -> Tensor:
    """First queries of ``count`` neighbouring pairs, int64. Both queries are crowded and of one block."""
    crowded = selection.count * selection.block
    first = torch.arange(crowded, max(crowded, tokens - 1))
    first = first[(first + 1) % selection.block != 0]
    if not len(first):
        raise ValueError(f"no pair of crowded queries in {tokens} tokens; give longer rows")
    return first[torch.randint(len(first), (count,), generator=draw)]


def block_scores(q: Tensor, k: Tensor, queries: Tensor, selection: Selection, sinks: Tensor | None = None) -> Tensor:
    """Scores as ``group_scores`` gives them, of ``queries`` [count] alone: [batch, kv_heads, count, blocks].

    ``q`` [batch, heads, tokens, dim] and ``k`` [batch, kv_heads, tokens, dim] have one text a row. Blocks that a query
    does not see have -inf. ``sinks`` [heads] add to the denominators, as in the layer.
    """
    kv_heads, tokens = k.shape[1], k.shape[2]
    some = q[:, :, queries].float().unflatten(1, (kv_heads, -1))
    logits = some @ k.float()[:, :, None].transpose(-1, -2) * q.shape[-1] ** -0.5
    seen = torch.arange(tokens, device=k.device) <= queries[:, None]
    logits = logits.masked_fill(~seen, -torch.inf).flatten(1, 2)
    rest = blocks_of(tokens, selection.block) * selection.block - tokens
    by_block = torch.nn.functional.pad(logits, (0, rest), value=-torch.inf).unflatten(-1, (-1, selection.block))
    lse = logits.logsumexp(-1)
    if sinks is not None:
        lse = torch.logaddexp(lse, sinks.float()[None, :, None].expand_as(lse))
    return group_scores(by_block.amax(-1), lse, kv_heads)


def memberships(scores: Tensor, queries: Tensor, selection: Selection) -> Tensor:
    """Soft memberships in [0, 1] of ``scores`` [..., count, blocks]. A forced block has 1, an unseen block 0."""
    grid, own = torch.arange(scores.shape[-1], device=scores.device), (queries // selection.block)[:, None]
    visible = grid <= own
    forced = visible & ((grid < selection.first) | (grid > own - selection.local))
    best = scores.masked_fill(forced, torch.inf).topk(selection.count + 1, dim=-1).values
    threshold = best[..., -2:].mean(-1, keepdim=True)
    width = SOFTNESS * spread(scores.detach(), visible)
    soft = torch.sigmoid((scores.masked_fill(~visible, 0.0) - threshold) / width)
    return torch.where(forced, 1.0, soft.masked_fill(~visible, 0.0))


def spread(scores: Tensor, visible: Tensor) -> Tensor:
    """Standard deviation of the visible scores of each query, [..., count, 1]."""
    number = visible.sum(-1, keepdim=True)
    filled = scores.masked_fill(~visible, 0.0)
    mean = filled.sum(-1, keepdim=True) / number
    return (((filled - mean) ** 2 * visible).sum(-1, keepdim=True) / number).sqrt().clamp_min(1e-6)


def soft_jaccard(q: Tensor, k: Tensor, first: Tensor, selection: Selection, sinks: Tensor | None = None) -> Tensor:
    """Mean soft overlap of the queries ``first`` and the queries behind them."""
    queries = torch.cat([first, first + 1])
    one, two = memberships(block_scores(q, k, queries, selection, sinks), queries, selection).chunk(2, dim=2)
    return (torch.minimum(one, two).sum(-1) / torch.maximum(one, two).sum(-1)).mean()


class OverlapLoss:
    """Mean loss of the selecting layers of a forward, gathered by hooks. ``pairs`` neighbours a layer are drawn."""

    def __init__(self, model: HySparseForCausalLM, pairs: int, seed: int = 0) -> None:
        self.pairs, self.draw, self.found = pairs, torch.Generator().manual_seed(seed), list[Tensor]()
        layers = (module for module in model.modules() if isinstance(module, FullAttention) and module.selects)
        self.hooks = [layer.register_forward_pre_hook(self.gather) for layer in layers]

    def gather(self, layer: FullAttention, arguments: tuple[Any, ...]) -> None:
        hidden, _, step, *_ = arguments
        if not torch.is_grad_enabled():
            return
        q, (k, _) = layer.query(hidden, step), layer.keys_values(hidden, step)
        first = drawn_pairs(hidden.shape[1], layer.selection, self.pairs, self.draw).to(hidden.device)
        with torch.autocast(hidden.device.type, enabled=False):
            self.found.append(1 - soft_jaccard(q, k, first, layer.selection, layer.sinks))

    def take(self) -> Tensor:
        """The loss since the last call."""
        found, self.found = torch.stack(self.found).mean(), []
        return found
