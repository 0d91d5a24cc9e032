"""Rectangular batches for ``ops`` from vLLM's ragged, paged batch.

Requests with equally many new tokens form one batch whose keys are aligned at their ends. To the operations, such a
batch is a left-padded batch on top of a cache, which ``Segments`` describes. If kernels run, requests without cached
keys form one packed row instead, whatever their lengths.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from judgerlvr.hysparse.ops.dispatch import paged_kernels
from judgerlvr.hysparse.ops.kernel_shapes import PREFILL_KEYS
from judgerlvr.hysparse.ops.segments import Segments


@dataclass(frozen=True)
class Bounds:
    """Limits of one batch: ``queries`` of a request, ``keys`` of all rows, and their ``products`` with queries.

    ``packs`` puts requests without cached keys into one row. ``kept`` bounds the keys whose K and V the batches of a
    step keep from a full layer to its sparse layers.
    """

    queries: int
    keys: int
    products: int
    packs: bool
    kept: int


# The reference materialises products. Kernels materialise only copies of K and V: 1 GB at 8 KV heads of 128 in
# bfloat16.
FOR_REFERENCE = Bounds(queries=256, keys=1 << 60, products=1 << 21, packs=False, kept=0)
FOR_KERNELS = Bounds(queries=1 << 60, keys=1 << 18, products=1 << 60, packs=True, kept=PREFILL_KEYS)


def bounds_for(device_type: str) -> Bounds:
    return FOR_REFERENCE if paged_kernels(device_type) is None else FOR_KERNELS


@dataclass(frozen=True)
class Piece:
    """``queries`` new tokens of request ``row``, the first at ``token`` of the step, that see ``keys`` keys."""

    row: int
    token: int
    queries: int
    keys: int


@dataclass(frozen=True)
class Shared:
    """Inputs of the sparse layers of a hybrid block from its full layer.

    ``k`` and ``v`` [rows, kv_heads, keys, dim]. ``chosen`` is the result of the operation ``share`` on the indices.
    """

    k: Tensor
    v: Tensor
    chosen: Any


@dataclass
class QueryBatch:
    """``tokens`` [rows, queries] of the step, the cache ``slots`` [rows, keys] that they see, and each row's range.

    ``shared`` holds the newest full layer's, if ``keeps``.
    """

    tokens: Tensor
    slots: Tensor
    segments: Segments
    keeps: bool = False
    shared: Shared | None = None


def pieces(query_starts: Sequence[int], lengths: Sequence[int], longest: int, first: int = 0) -> Iterator[Piece]:
    """Cut the requests' new tokens from ``first`` on into pieces of at most ``longest``. Padded requests have none."""
    for row in range(first, len(lengths)):
        begin, end = query_starts[row], query_starts[row + 1]
        for token in range(begin, end, longest):
            stop = min(token + longest, end)
            yield Piece(row, token, stop - token, lengths[row] - (end - stop))


def grouped(found: Iterable[Piece], bounds: Bounds) -> Iterator[list[Piece]]:
    """Groups of pieces of one size, within the bounds. Similar lengths stay together."""
    by_size: dict[int, list[Piece]] = defaultdict(list)
    for piece in found:
        by_size[piece.queries].append(piece)
    for same in by_size.values():
        same.sort(key=lambda piece: piece.keys)
        group: list[Piece] = []
        for piece in same:
            keys = (len(group) + 1) * piece.keys
            if group and (keys > bounds.keys or keys * piece.queries > bounds.products):
                yield group
                group = []
            group.append(piece)
        yield group


def query_batches(found: Iterable[Piece], bounds: Bounds, block_table: Tensor, page: int) -> list[QueryBatch]:
    """All batches of one step's pieces. ``block_table`` [requests, pages] names the page of each ``page`` tokens."""
    found = list(found)
    fresh = [piece for piece in found if bounds.packs and piece.queries == piece.keys]
    packed = set(fresh)
    rest = (piece for piece in found if piece not in packed)
    batches = [_rectangle(group, block_table, page) for group in grouped(rest, bounds)]
    batches += [_packed(fresh, block_table, page)] if fresh else []
    keeps = sum(batch.slots.numel() for batch in batches) <= bounds.kept
    for batch in batches:
        batch.keeps = keeps
    return batches


def _rectangle(group: list[Piece], block_table: Tensor, page: int) -> QueryBatch:
    device = block_table.device
    described = torch.tensor([[piece.row, piece.token, piece.keys] for piece in group])
    rows, first, lengths = _moved(described, device).unbind(1)
    queries, keys = group[0].queries, group[-1].keys
    tokens = first[:, None] + torch.arange(queries, device=device)
    padding = (keys - lengths)[:, None]
    where = (torch.arange(keys, device=device) - padding).clamp(min=0)  # Padding reads key 0 and is masked.
    slots = block_table[rows[:, None], where // page].long() * page + where % page
    return QueryBatch(tokens, slots, Segments(padding.expand(-1, queries), keys - queries))


def _packed(group: list[Piece], block_table: Tensor, page: int) -> QueryBatch:
    """One row of requests whose keys are their new tokens."""
    queries = torch.tensor([piece.queries for piece in group])
    described = torch.tensor([[piece.row, piece.token] for piece in group])
    starts = queries.cumsum(0) - queries
    each = torch.cat([described, starts[:, None]], dim=1).repeat_interleave(queries, dim=0)
    rows, first, begins = _moved(each, block_table.device).unbind(1)
    where = torch.arange(len(rows), device=rows.device) - begins
    slots = block_table[rows, where // page].long() * page + where % page
    return QueryBatch((first + where)[None], slots[None], Segments(begins[None]))


def _moved(tensor: Tensor, device: torch.device) -> Tensor:
    """A host tensor on ``device``, without a wait for the work of the device."""
    return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


def keys_and_values(kv_cache: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
    """K and V, each [rows, kv_heads, keys, dim], at ``slots`` of a cache [pages, kv_heads, page, 2 * dim]."""
    kernels = paged_kernels(kv_cache.device.type)
    if kernels is not None:
        gathered: tuple[Tensor, Tensor] = kernels.gather(kv_cache, slots)
        return gathered
    page = kv_cache.shape[2]
    k, v = kv_cache[slots // page, :, slots % page].transpose(1, 2).chunk(2, dim=-1)
    return k, v


def write(key: Tensor, value: Tensor, kv_cache: Tensor, slots: Tensor) -> None:
    """Write K and V [tokens, kv_heads, dim] to their ``slots`` [at most tokens]. Padded tokens have slot -1."""
    kernels = paged_kernels(kv_cache.device.type)
    if kernels is not None:
        kernels.write(key, value, kv_cache, slots)
        return
    page, kept = kv_cache.shape[2], slots >= 0
    both = torch.cat([key[: len(slots)], value[: len(slots)]], dim=-1)[kept]
    slots = slots[kept]
    kv_cache[slots // page, :, slots % page] = both.to(kv_cache.dtype)
