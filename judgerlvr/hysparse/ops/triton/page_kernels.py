"""Kernels over a paged cache [pages, kv_heads, page, 2 * dim], K beside V: attention of a new token a row, and moves.

A page holds whole selection blocks, so a block is BLOCK neighbouring rows of one page. Lengths are read on the device,
and grids do not depend on lengths. A CUDA graph thus stays valid while its requests grow.
"""

# Kernel arguments are pointers and scalars that Triton types itself.
# ruff: noqa: ANN001, ANN201
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

from judgerlvr.hysparse.ops.triton.decode_kernels import head_rows
from judgerlvr.hysparse.ops.triton.range_kernels import LN2, normaliser, softmax_step


@triton.jit
def block_tile(
    cache, table, block, length, page_step, token_step, PAGE: tl.constexpr, BLOCK: tl.constexpr, DIM: tl.constexpr
):  # fmt: skip
    """K and V [BLOCK, DIM] of a row's block. V past the row's end is 0, whatever the page holds there."""
    page = tl.load(table + block * BLOCK // PAGE).to(tl.int64)
    within = tl.arange(0, BLOCK)
    at = cache + page * page_step + (block * BLOCK % PAGE + within)[:, None] * token_step + tl.arange(0, DIM)
    held = block * BLOCK + within < length
    return tl.load(at), tl.load(at + DIM, mask=held[:, None], other=0.0), held


@triton.jit
def decode_kernel(
    q, cache, table, lengths, indices, sinks, parts, lse_parts, maxima, out, lse,
    blocks, count, q_row, table_row, page_step, head_step, token_step, scale,
    HEADS: tl.constexpr, GROUP: tl.constexpr, ROWS: tl.constexpr, DIM: tl.constexpr, BLOCK: tl.constexpr,
    PAGE: tl.constexpr, KEPT: tl.constexpr, SELECTED: tl.constexpr, SPLIT: tl.constexpr, HAS_SINKS: tl.constexpr,
):  # fmt: skip
    """Attention of one query over a share of a row's blocks: the selected blocks, or all blocks with block maxima.

    Without SPLIT, the kernel computes the whole attention and writes ``out`` [batch, heads, dim] and ``lse`` [batch,
    heads]. With SPLIT, the kernel writes ``parts`` [batch, heads, splits, dim] and ``lse_parts`` in powers of two, for
    ``merge_kernel``. ``maxima`` [batch, heads, blocks]: blocks after a row's last are left unwritten. A row of length 0
    gives 0.
    """
    kv_heads: tl.constexpr = HEADS // GROUP
    pair = tl.program_id(1)
    number = (pair // kv_heads).to(tl.int64)
    head, row, live, q_tile = head_rows(q, pair, q_row, HEADS, GROUP, ROWS, DIM)
    length = tl.load(lengths + number)
    held = tl.cdiv(length, BLOCK)
    if SELECTED:
        slot = tl.arange(0, KEPT)
        listed = tl.load(indices + pair.to(tl.int64) * count + slot, mask=slot < count, other=-1)
        held = tl.minimum(held, tl.sum((listed >= 0).to(tl.int32), 0))
    share = tl.cdiv(held, tl.num_programs(0))
    first = tl.program_id(0) * share
    m = tl.full([ROWS], -float("inf"), tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    acc = tl.zeros([ROWS, DIM], tl.float32)
    head_cache = cache + (pair % kv_heads).to(tl.int64) * head_step
    for n in range(first, tl.minimum(first + share, held)):
        block = n
        if SELECTED:
            block = tl.load(indices + pair.to(tl.int64) * count + n)
        k_tile, v_tile, seen = block_tile(
            head_cache, table + number * table_row, block, length, page_step, token_step, PAGE, BLOCK, DIM
        )
        scores = tl.dot(q_tile, k_tile.T, input_precision="ieee")
        scores = tl.where(seen[None, :], scores, -float("inf"))
        peak = tl.max(scores, 1)
        if not SELECTED:
            tl.store(maxima + row * blocks + block, peak * scale, mask=live)
        m, total, acc = softmax_step(scores, peak, scale, m, total, acc, v_tile)

    dims = tl.arange(0, DIM)
    if SPLIT:
        at = row * tl.num_programs(0) + tl.program_id(0)
        result = acc * tl.where(total > 0, 1 / total, 0.0)[:, None]
        tl.store(parts + at[:, None] * DIM + dims, result, mask=live[:, None] & (first < held))
        tl.store(lse_parts + at, m + tl.log2(total), mask=live)
    else:
        denominator = normaliser(m, total, sinks, tl.where(live, head, 0), HAS_SINKS)
        result = acc * tl.where(total > 0, tl.exp2(m - denominator), 0.0)[:, None]
        tl.store(out + row[:, None] * DIM + dims, result.to(out.dtype.element_ty), mask=live[:, None])
        tl.store(lse + row, denominator * LN2, mask=live)


@triton.jit
def write_kernel(
    key, value, cache, slots, key_row, value_row, page_step, head_step, token_step,
    PAGE: tl.constexpr, KV_HEADS: tl.constexpr, ROWS: tl.constexpr, DIM: tl.constexpr,
):  # fmt: skip
    """K and V of one token [kv_heads, dim] to its slot. Slot -1 is none. ROWS is the next power of two of the heads."""
    token = tl.program_id(0).to(tl.int64)
    slot = tl.load(slots + token).to(tl.int64)
    head = tl.arange(0, ROWS)[:, None].to(tl.int64)
    dims = tl.arange(0, DIM)[None, :]
    live = (head < KV_HEADS) & (slot >= 0)
    at = cache + slot // PAGE * page_step + head * head_step + slot % PAGE * token_step + dims
    k_tile = tl.load(key + token * key_row + head * DIM + dims, mask=live, other=0.0)
    v_tile = tl.load(value + token * value_row + head * DIM + dims, mask=live, other=0.0)
    tl.store(at, k_tile.to(cache.dtype.element_ty), mask=live)
    tl.store(at + DIM, v_tile.to(cache.dtype.element_ty), mask=live)


@triton.jit
def gather_kernel(
    cache, slots, k, v, keys, page_step, head_step, token_step,
    PAGE: tl.constexpr, KV_HEADS: tl.constexpr, DIM: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """Copies of K and V, each [rows, kv_heads, keys, dim], of the ``slots`` [rows, keys]."""
    pair = tl.program_id(1).to(tl.int64)
    number = tl.program_id(0) * TILE + tl.arange(0, TILE)
    live = number < keys
    slot = tl.load(slots + pair // KV_HEADS * keys + number, mask=live, other=0).to(tl.int64)
    source = slot // PAGE * page_step + pair % KV_HEADS * head_step + slot % PAGE * token_step
    dims = tl.arange(0, DIM)
    at = cache + source[:, None] + dims
    to = (pair * keys + number)[:, None] * DIM + dims
    tl.store(k + to, tl.load(at, mask=live[:, None], other=0.0), mask=live[:, None])
    tl.store(v + to, tl.load(at + DIM, mask=live[:, None], other=0.0), mask=live[:, None])
