"""Oracle selection (equation 3 and TopK) in log space: which key blocks each query of a group keeps.

The caller detaches all inputs. Indices are discrete and carry no gradient.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

PADDING = -1


@dataclass(frozen=True)
class Selection:
    """How blocks are chosen: ``count`` blocks of ``block`` tokens.

    ``first`` blocks at the start and ``local`` blocks up to the query's own block are forced. Forced blocks count
    towards ``count``. ``block`` 1 is token-level selection.
    """

    block: int
    count: int
    first: int = 0
    local: int = 0


def blocks_of(keys: int, block: int) -> int:
    """Number of blocks that cover ``keys`` keys."""
    return -(-keys // block)


def group_scores(block_max: Tensor, lse: Tensor, kv_heads: int) -> Tensor:
    """Log of the largest attention probability in each block, over the query heads of a group.

    ``block_max`` [batch, heads, queries, blocks] holds raw logit maxima, -inf if nothing is visible. ``lse`` [batch,
    heads, queries] holds the log normaliser. Heads differ in their normaliser, so ``lse`` is subtracted before the
    maximum over the group. Returns [batch, kv_heads, queries, blocks].
    """
    scores = block_max - lse[..., None]
    return scores.unflatten(1, (kv_heads, -1)).amax(dim=2)


def select_blocks(scores: Tensor, own_block: Tensor, selection: Selection) -> Tensor:
    """Indices of the best blocks: int32 [batch, kv_heads, queries, count], ascending, padded with -1.

    ``scores`` is -inf if a block holds no visible key. ``own_block`` [batch, queries] is the query's own block, the
    last visible block. Of equal scores the lower block wins, so a run always repeats its selection.
    """
    blocks = scores.shape[-1]
    grid = torch.arange(blocks, device=scores.device)
    own = own_block[:, None, :, None]
    visible = grid <= own
    forced = (grid < selection.first) | (grid > own - selection.local)
    ranked = scores.masked_fill(forced & visible, torch.inf).masked_fill(~visible, -torch.inf)
    best = ranked.sort(dim=-1, descending=True, stable=True).indices[..., : selection.count]
    # Early queries see fewer blocks than they may keep. The rest sorts to the end as padding.
    chosen = torch.where(visible.expand_as(ranked).gather(-1, best), best, blocks).sort(dim=-1).values
    chosen = chosen.masked_fill(chosen == blocks, PADDING).to(torch.int32)
    return torch.nn.functional.pad(chosen, (0, selection.count - chosen.shape[-1]), value=PADDING)


def selected_mask(indices: Tensor, blocks: int) -> Tensor:
    """Boolean [batch, kv_heads, queries, blocks] of the blocks that ``indices`` name."""
    mask = torch.zeros(*indices.shape[:-1], blocks + 1, dtype=torch.bool, device=indices.device)
    slots = indices.long().masked_fill(indices == PADDING, blocks)
    return mask.scatter(-1, slots, True)[..., :blocks]
