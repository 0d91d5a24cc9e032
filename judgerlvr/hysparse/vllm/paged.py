"""From vLLM's ragged, paged batch to the rectangular batches that ``ops`` takes.

Requests with equally many new tokens form one batch whose keys are aligned at their ends: to the operations that is
a left-padded batch on top of a cache, which ``Segments`` describes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from judgerlvr.hysparse.segments import Segments

# Bounds of what the reference operations materialise: queries a row, and queries x keys a batch.
QUERY_CHUNK = 256
PRODUCTS = 1 << 21


@dataclass(frozen=True)
class Piece:
    """``queries`` new tokens of request ``row``, the first at ``token`` of the step, that see ``keys`` keys."""

    row: int
    token: int
    queries: int
    keys: int


@dataclass(frozen=True)
class QueryBatch:
    """``tokens`` [rows, queries] of the step, the cache ``slots`` [rows, keys] they see, and each row's range."""

    tokens: Tensor
    slots: Tensor
    segments: Segments


def pieces(query_starts: Sequence[int], lengths: Sequence[int]) -> Iterator[Piece]:
    """Cut each request's new tokens into pieces of at most QUERY_CHUNK; padded requests have none."""
    for row, length in enumerate(lengths):
        begin, end = query_starts[row], query_starts[row + 1]
        for token in range(begin, end, QUERY_CHUNK):
            stop = min(token + QUERY_CHUNK, end)
            yield Piece(row, token, stop - token, length - (end - stop))


def grouped(found: Iterator[Piece]) -> Iterator[list[Piece]]:
    """Groups of pieces of one size, small enough for the reference; similar lengths stay together."""
    by_size: dict[int, list[Piece]] = defaultdict(list)
    for piece in found:
        by_size[piece.queries].append(piece)
    for same in by_size.values():
        same.sort(key=lambda piece: piece.keys)
        group: list[Piece] = []
        for piece in same:
            if group and (len(group) + 1) * piece.queries * piece.keys > PRODUCTS:
                yield group
                group = []
            group.append(piece)
        yield group


def query_batches(query_starts: Tensor, lengths: Tensor, block_table: Tensor, page: int) -> list[QueryBatch]:
    """All batches of one step.

    ``query_starts`` [requests + 1] and ``lengths`` [requests] count tokens, ``block_table`` [requests, pages] names
    the page of each ``page`` tokens of a request.
    """
    found = pieces(query_starts.tolist(), lengths.tolist())
    return [_batch(group, block_table, page) for group in grouped(found)]


def _batch(group: list[Piece], block_table: Tensor, page: int) -> QueryBatch:
    device = block_table.device
    rows, first, lengths = (
        torch.tensor([getattr(piece, name) for piece in group], device=device) for name in ("row", "token", "keys")
    )
    queries, keys = group[0].queries, int(group[-1].keys)
    tokens = first[:, None] + torch.arange(queries, device=device)
    padding = (keys - lengths)[:, None]
    where = (torch.arange(keys, device=device) - padding).clamp(min=0)  # padding reads key 0, and is masked
    slots = block_table[rows[:, None], where // page].long() * page + where % page
    return QueryBatch(tokens, slots, Segments(padding.expand(-1, queries), keys - queries))


def keys_and_values(kv_cache: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
    """K and V, each [rows, kv_heads, keys, dim], at ``slots`` of a cache [pages, kv_heads, page, 2 * dim]."""
    page = kv_cache.shape[2]
    k, v = kv_cache[slots // page, :, slots % page].transpose(1, 2).chunk(2, dim=-1)
    return k, v
