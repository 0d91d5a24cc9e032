"""Where each query's own sequence begins, for packed rows, left padding and cached prefixes alike.

Causal ranges and the grid of selection blocks start at the query's own sequence. A packed or padded batch therefore
gives the same results as its single sequences.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from judgerlvr.hysparse.ops.buckets import Buckets, buckets_of


@dataclass(frozen=True)
class Segments:
    """``starts`` [batch, queries]: index, on the key axis, of the first key that a query may see.

    ``offset`` is the key index of the first query, which is the number of cached keys. A query sees its own key.
    """

    starts: Tensor
    offset: int = 0

    def __post_init__(self) -> None:
        # Kernels index ``starts`` by shape. An expanded tensor would send the kernels out of bounds.
        object.__setattr__(self, "starts", self.starts.contiguous())

    @property
    def keys(self) -> int:
        """Length of the key axis after this forward's keys are appended."""
        return self.offset + self.starts.shape[1]

    @property
    def queries(self) -> Tensor:
        """Key index of each query, [queries]."""
        return torch.arange(self.offset, self.keys, device=self.starts.device)

    @property
    def positions(self) -> Tensor:
        """Position of each query in its own sequence, [batch, queries], for RoPE and the block grid."""
        return self.queries - self.starts

    @cached_property
    def buckets(self) -> Buckets:
        """The sequences of one packed row, regrouped once for all operations of a forward."""
        return buckets_of(self.starts[0].unique_consecutive(), self.starts.shape[1])


def whole(batch: int, length: int, offset: int = 0, device: torch.device | str = "cpu") -> Segments:
    """One unpadded sequence a row."""
    return Segments(torch.zeros(batch, length, dtype=torch.long, device=device), offset)


def from_lengths(cu_seqlens: Tensor, total: int) -> Segments:
    """One packed row of ``total`` tokens cut at ``cu_seqlens`` [n + 1]. Tokens after the last cut form one more
    sequence.
    """
    where = torch.arange(total, device=cu_seqlens.device)
    cuts = cu_seqlens.to(where.dtype)
    last = torch.searchsorted(cuts, where, right=True) - 1
    return Segments(cuts[last][None])


def from_positions(position_ids: Tensor) -> Segments:
    """Rows packed by restarting ``position_ids`` [batch, length]: a sequence starts where the count breaks."""
    where = torch.arange(position_ids.shape[1], device=position_ids.device)
    broken = position_ids[:, 1:] != position_ids[:, :-1] + 1
    breaks = torch.cat([broken.new_zeros(len(position_ids), 1), broken], dim=1)
    return Segments((where * breaks).cummax(dim=1).values)


def from_mask(attention_mask: Tensor, length: int) -> Segments:
    """Rows with padding outside one run of ones: ``attention_mask`` [batch, cached + length].

    A padded query before its row's first token sees only itself, so that no softmax is empty.
    """
    keys = attention_mask.shape[1]
    first = attention_mask.ne(0).to(torch.int8).argmax(dim=1, keepdim=True)
    queries = torch.arange(keys - length, keys, device=attention_mask.device)
    return Segments(torch.minimum(first, queries), keys - length)


def check_mask(attention_mask: Tensor) -> None:
    """Raise ValueError if the ones of a row are not one run. A hole has no place in a grid of blocks."""
    kept = attention_mask.ne(0).to(torch.int8)
    runs = kept.diff(dim=1, prepend=torch.zeros_like(kept[:, :1]))
    if bool((runs.eq(1).sum(dim=1) > 1).any()):
        raise ValueError("attention_mask has a hole between tokens of a row; HySparse takes padding at the ends only")


def segments_of(
    shape: tuple[int, int],
    past: int,
    position_ids: Tensor | None,
    attention_mask: Tensor | None,
    cu_seqlens: Tensor | None,
    device: torch.device,
) -> Segments:
    """Segments of one forward over ``shape`` (batch, length) new tokens after ``past`` cached tokens.

    ``cu_seqlens`` wins. Otherwise a mask and restarting positions both cut. Raises ValueError for a mask that is not
    [batch, past + length], for a mask with holes, and for packed rows on top of a cache.
    """
    batch, length = shape
    if cu_seqlens is not None:
        _refuse(batch > 1 or past > 0, "cu_seqlens describes one packed row without a cache")
        return from_lengths(cu_seqlens, length)
    found = [whole(batch, length, past, device)]
    if attention_mask is not None:
        wrong = attention_mask.shape != (batch, past + length)
        _refuse(wrong, f"attention_mask must be [{batch}, {past + length}], not {list(attention_mask.shape)}")
        if not torch.compiler.is_compiling():
            check_mask(attention_mask)
        found.append(from_mask(attention_mask, length))
    if position_ids is not None and past == 0:
        found.append(from_positions(position_ids))
    elif position_ids is not None and attention_mask is None and not torch.compiler.is_compiling():
        _refuse(bool(from_positions(position_ids).starts.any()), "packed rows cannot continue a cache")
    # Each description only cuts, so the latest start holds.
    starts = found[0].starts
    for more in found[1:]:
        starts = torch.maximum(starts, more.starts)
    return Segments(starts, past)


def _refuse(condition: bool, reason: str) -> None:
    if condition:
        raise ValueError(reason)
