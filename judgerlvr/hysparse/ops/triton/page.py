"""One new token a row over a paged cache, writes to the cache, and copies of its rows for prefill.

Nothing here waits for the device or asks the device for a length. Launches depend on the number of rows and on the
longest possible row, so a CUDA graph can capture decoding. The twins are the functions of ``ops.reference``.
"""

from __future__ import annotations

from dataclasses import dataclass

import triton
from torch import Tensor, float32

from judgerlvr.hysparse.ops.segments import Segments
from judgerlvr.hysparse.ops.selection import Selection, blocks_of
from judgerlvr.hysparse.ops.triton import decode as decoding
from judgerlvr.hysparse.ops.triton import decode_kernels as decode
from judgerlvr.hysparse.ops.triton import page_kernels as pages
from judgerlvr.hysparse.ops.triton.attention import check
from judgerlvr.hysparse.ops.triton.selection import select
from judgerlvr.hysparse.ops.triton.tile_shapes import TABLE

GATHERED_ROWS = 64


@dataclass(frozen=True)
class Pages:
    """A layer's ``cache`` [pages, kv_heads, page, 2 * dim], and the rows that attend to the cache.

    ``table`` int32 [rows, pages of a row] names pages. ``lengths`` int32 [rows] counts the keys of a row, the key of
    its new token included. The length of a row that stands for nothing is 0. No row has more than ``longest`` keys.
    """

    cache: Tensor
    table: Tensor
    lengths: Tensor
    longest: int

    @property
    def steps(self) -> tuple[int, int, int]:
        """Elements between pages, between KV heads, and between tokens."""
        return steps_of(self.cache)


def steps_of(cache: Tensor) -> tuple[int, int, int]:
    page_step, head_step, token_step, _ = cache.stride()
    return page_step, head_step, token_step


def splits_of(pairs: int, blocks: int) -> int:
    """Programs for each of ``pairs`` (rows x KV heads): a power of two, so that few sizes are compiled."""
    wanted = min(decoding.MOST_SPLITS, max(1, decoding.PROGRAMS // pairs), blocks)
    return 1 << (wanted.bit_length() - 1)


def full_decode(
    q: Tensor, pages_of: Pages, selection: Selection, selected: Tensor, out: Tensor, sinks: Tensor | None = None
) -> None:
    """Full attention of ``q`` [rows, heads, dim] to ``out``, and its choice to ``selected`` [rows, kv_heads, count].

    ``out`` and ``selected`` (int32) are contiguous, and so are the heads of ``q``.
    """
    check(q, pages_of.cache, selection.block)
    rows, heads, _ = q.shape
    blocks = blocks_of(pages_of.longest, selection.block)
    maxima, lse = (q.new_empty((rows, heads, *size), dtype=float32) for size in ((blocks, 1), (1,)))
    _attend(q, pages_of, selection.block, None, out, lse, sinks, maxima)
    # ``select`` counts from a row's first key to its query. The query is key 0 here, and the first key lies before the
    # query.
    segments = Segments((1 - pages_of.lengths)[:, None])
    select(maxima, lse, segments, selection, 0, selected[:, :, None])


def sparse_decode(
    q: Tensor, pages_of: Pages, block: int, selected: Tensor, out: Tensor, sinks: Tensor | None = None
) -> None:
    """Attention of ``q`` [rows, heads, dim] over the ``selected`` blocks only, to ``out``. See ``full_decode``."""
    check(q, pages_of.cache, block)
    _attend(q, pages_of, block, selected, out, q.new_empty(q.shape[:2], dtype=float32), sinks, None)


def _attend(
    q: Tensor, pages_of: Pages, block: int, selected: Tensor | None, out: Tensor, lse: Tensor, sinks: Tensor | None,
    maxima: Tensor | None,
) -> None:  # fmt: skip
    """Write ``out`` and ``lse`` [rows, heads], and ``maxima`` if nothing is selected yet."""
    (rows, heads, dim), (kv_heads, page) = q.shape, pages_of.cache.shape[1:3]
    count = 1 if selected is None else selected.shape[-1]
    blocks = blocks_of(pages_of.longest, block)
    splits = splits_of(rows * kv_heads, blocks if selected is None else min(count, blocks))
    parts, lse_parts = (q.new_empty((rows, heads, splits, *size), dtype=float32) for size in ((dim,), ()))
    pages.decode_kernel[(splits, rows * kv_heads)](
        q, pages_of.cache, pages_of.table, pages_of.lengths, selected, sinks, parts, lse_parts, maxima, out, lse,
        blocks, count, q.stride(0), pages_of.table.stride(0), *pages_of.steps, dim**-0.5,
        **decoding.shapes(q, pages_of.cache), BLOCK=block, PAGE=page, KEPT=triton.next_power_of_2(count),
        SELECTED=selected is not None, SPLIT=splits > 1, HAS_SINKS=sinks is not None, **TABLE["decode"].options,
    )  # fmt: skip
    if splits > 1:
        decode.merge_kernel[(rows * heads,)](
            parts, lse_parts, sinks, out, lse, splits,
            HEADS=heads, DIM=dim, SPLITS=splits, HAS_SINKS=sinks is not None,
        )  # fmt: skip


def write(key: Tensor, value: Tensor, cache: Tensor, slots: Tensor) -> None:
    """K and V [tokens, kv_heads, dim], heads contiguous, to ``slots`` [at most tokens] of the cache. -1 is no slot."""
    kv_heads, page = cache.shape[1:3]
    pages.write_kernel[(slots.shape[0],)](
        key, value, cache, slots, key.stride(0), value.stride(0), *steps_of(cache),
        PAGE=page, KV_HEADS=kv_heads, ROWS=triton.next_power_of_2(kv_heads), DIM=key.shape[-1],
    )  # fmt: skip


def gather(cache: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
    """Contiguous K and V, each [rows, kv_heads, keys, dim], at ``slots`` [rows, keys]."""
    (rows, keys), (_, kv_heads, page, width) = slots.shape, cache.shape
    k, v = (cache.new_empty((rows, kv_heads, keys, width // 2)) for _ in range(2))
    pages.gather_kernel[(triton.cdiv(keys, GATHERED_ROWS), rows * kv_heads)](
        cache, slots.contiguous(), k, v, keys, *steps_of(cache),
        PAGE=page, KV_HEADS=kv_heads, DIM=width // 2, TILE=GATHERED_ROWS,
    )  # fmt: skip
    return k, v
