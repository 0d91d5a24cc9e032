"""Kernels that divide the chosen blocks: blocks that many neighbours share, and blocks that few neighbours share."""

# Kernel arguments are pointers and scalars that Triton types itself.
# ruff: noqa: ANN001, ANN201
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

from benchmarks.hysparse.kernels.candidates.reader_kernels import gathered_parts
from judgerlvr.hysparse.ops.triton.range_kernels import LN2, normaliser, softmax_step
from judgerlvr.hysparse.ops.triton.sparse_kernels import last_chosen, load_tile, tile_rows


@triton.jit
def split_kernel(
    indices, starts, shared, alone, queries, count, block, least,
    KV_HEADS: tl.constexpr, WIDTH: tl.constexpr, KEPT: tl.constexpr,
):  # fmt: skip
    """Copy each index of a tile of WIDTH queries to ``shared`` if ``least`` of these queries chose it, else to
    ``alone``. The other output gets -1. KEPT is the power of two from ``count`` on.
    """
    batch = tl.program_id(1) // KV_HEADS
    number = tl.arange(0, WIDTH * KEPT)
    row = tl.program_id(0) * WIDTH + number // KEPT
    held = (row < queries) & (number % KEPT < count)
    base = tl.program_id(1).to(tl.int64) * queries * count
    at = base + row * count + number % KEPT
    chosen = tl.load(indices + at, mask=held, other=-1)
    start = tl.load(starts + batch * queries + row, mask=held, other=0).to(tl.int32)
    # Packed sequences count blocks from their own start, so key positions are compared.
    begin = tl.where(chosen >= 0, start + chosen * block, -1)
    slot = tl.arange(0, KEPT)
    readers = tl.zeros([WIDTH * KEPT], tl.int32)
    for member in range(WIDTH):
        other_row = tl.program_id(0) * WIDTH + member
        there = (other_row < queries) & (slot < count)
        other = tl.load(indices + base + other_row * count + slot, mask=there, other=-1)
        other_start = tl.load(starts + batch * queries + other_row, mask=other_row < queries, other=0).to(tl.int32)
        other_begin = tl.where(other >= 0, other_start + other * block, -2)
        readers += tl.sum((begin[:, None] == other_begin[None, :]).to(tl.int32), 1)
    tl.store(shared + at, tl.where(readers >= least, chosen, -1), mask=held)
    tl.store(alone + at, tl.where(readers >= least, -1, chosen), mask=held)


@triton.jit(do_not_specialize=["number"])
def mixed_kernel(
    queries_of, keys_of, values_of, parts, part_lse, alone, sinks, begins, bits, counts, outputs_of, lse,
    number, span, tiles, queries, keys, offset, slots, scale,
    HEADS: tl.constexpr, GROUP: tl.constexpr, DIM: tl.constexpr, COUNT: tl.constexpr, KEPT: tl.constexpr,
    WIDTH: tl.constexpr, BLOCK: tl.constexpr, HAS_SINKS: tl.constexpr,
):  # fmt: skip
    """Output and log normaliser of one tile of span ``number``: the partials of ``alone``, then the tile's union."""
    kv_heads: tl.constexpr = HEADS // GROUP
    pair = tl.program_id(1)
    batch = pair // kv_heads
    kv_head = pair % kv_heads
    tile = number * (span // WIDTH) + tl.program_id(0)
    token, head, row, q_row, live = tile_rows(tile, batch, kv_head, queries, HEADS, GROUP, WIDTH)
    first_head = batch * HEADS + kv_head * GROUP
    m, total, acc = gathered_parts(
        parts, part_lse, alone, pair, row - number * span, row, head - kv_head * GROUP, live, span, queries,
        GROUP * WIDTH, GROUP, DIM, COUNT, KEPT,
    )  # fmt: skip
    q_tile = load_tile(queries_of, first_head, tile * WIDTH, GROUP * WIDTH, DIM)
    union = pair.to(tl.int64) * tiles + tile
    for n in range(0, tl.load(counts + union)):
        begin = tl.load(begins + union * slots + n)
        k_tile = keys_of.load([pair * keys + begin, 0])
        v_tile = values_of.load([pair * keys + begin, 0])
        cols = begin + tl.arange(0, BLOCK)
        seen = cols <= last_chosen(tl.load(bits + union * slots + n), token, offset + row, live)[:, None]
        scores = tl.dot(q_tile, k_tile.T, input_precision="ieee")
        scores = tl.where(seen, scores, -float("inf"))
        m, total, acc = softmax_step(scores, tl.max(scores, 1), scale, m, total, acc, v_tile)
    denominator = normaliser(m, total, sinks, head, HAS_SINKS)
    result = acc * tl.exp2(m - denominator)[:, None]
    outputs_of.store([first_head, tile * WIDTH, 0], tl.reshape(result.to(outputs_of.dtype), [GROUP, WIDTH, DIM]))
    tl.store(lse + q_row, denominator * LN2, mask=live)
