"""Kernels of one new token a row over a cache. The bytes of K and V bind the kernels, and each byte is read once.

A program treats the query heads of one KV head, padded to the 16 rows of the smallest matrix instruction.
"""

# Kernel arguments are pointers and scalars that Triton types itself.
# ruff: noqa: ANN001, ANN201
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

from judgerlvr.hysparse.ops.triton.range_kernels import LN2, normaliser, softmax_step


@triton.jit
def head_rows(q, pair, q_row, HEADS: tl.constexpr, GROUP: tl.constexpr, ROWS: tl.constexpr, DIM: tl.constexpr):
    """For a KV head's group: query heads, rows of [batch * heads], which of the padded rows exist, and the queries.

    ``q`` [batch, heads, dim] has contiguous heads and batch rows ``q_row`` elements apart.
    """
    kv_heads: tl.constexpr = HEADS // GROUP
    member = tl.arange(0, ROWS)
    head = pair % kv_heads * GROUP + member
    batch = (pair // kv_heads).to(tl.int64)
    row = batch * HEADS + head
    live = member < GROUP
    tile = tl.load(q + batch * q_row + head[:, None] * DIM + tl.arange(0, DIM), mask=live[:, None], other=0.0)
    return head, row, live, tile


@triton.jit
def split_kernel(
    q, keys_of, values_of, starts, parts, lse_parts, maxima,
    keys, span, blocks, scale,
    HEADS: tl.constexpr, GROUP: tl.constexpr, ROWS: tl.constexpr, DIM: tl.constexpr,
    BLOCK: tl.constexpr, EMIT: tl.constexpr,
):  # fmt: skip
    """Attention over ``span`` keys: normalised output and log normaliser in powers of two, and block maxima.

    ``parts`` [batch, heads, splits, dim] and ``lse_parts`` [batch, heads, splits] float32; ``maxima`` [batch, heads,
    blocks] is written for the blocks that hold a visible key.
    """
    pair = tl.program_id(1)
    _head, row, live, q_tile = head_rows(q, pair, HEADS * DIM, HEADS, GROUP, ROWS, DIM)
    start = tl.load(starts + pair // (HEADS // GROUP)).to(tl.int32)
    low = start + tl.program_id(0) * span
    m = tl.full([ROWS], -float("inf"), tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    acc = tl.zeros([ROWS, DIM], tl.float32)
    for tile in range(low, tl.minimum(low + span, keys), BLOCK):
        k_tile = keys_of.load([pair * keys + tile, 0])
        v_tile = values_of.load([pair * keys + tile, 0])
        cols = tile + tl.arange(0, BLOCK)
        scores = tl.dot(q_tile, k_tile.T, input_precision="ieee")
        scores = tl.where((cols < keys)[None, :], scores, -float("inf"))
        peak = tl.max(scores, 1)
        if EMIT:
            tl.store(maxima + row * blocks + (tile - start) // BLOCK, peak * scale, mask=live)
        m, total, acc = softmax_step(scores, peak, scale, m, total, acc, v_tile)
    lse = m + tl.log2(total)
    share = tl.where(total > 0, 1 / total, 0.0)
    at = row * tl.num_programs(0) + tl.program_id(0)
    tl.store(parts + at[:, None] * DIM + tl.arange(0, DIM), acc * share[:, None], mask=live[:, None])
    tl.store(lse_parts + at, lse, mask=live)


@triton.jit
def merge_kernel(
    parts, lse_parts, sinks, out, lse, splits,
    HEADS: tl.constexpr, DIM: tl.constexpr, SPLITS: tl.constexpr, HAS_SINKS: tl.constexpr,
):  # fmt: skip
    """Output and log normaliser of one row of [batch * heads] from its splits. SPLITS is the next power of two.

    Splits without keys have a log normaliser of -inf, and their part is not read. A row without keys gives 0.
    """
    row = tl.program_id(0).to(tl.int64)
    split = tl.arange(0, SPLITS)
    part_lse = tl.load(lse_parts + row * splits + split, mask=split < splits, other=-float("inf"))
    held = part_lse > -float("inf")
    m = tl.max(part_lse, 0)
    m = tl.where(m == -float("inf"), 0.0, m)
    total = tl.sum(tl.exp2(part_lse - m), 0)
    denominator = normaliser(m, total, sinks, tl.program_id(0) % HEADS, HAS_SINKS)
    at = (row * splits + split)[:, None] * DIM + tl.arange(0, DIM)
    values = tl.load(parts + at, mask=held[:, None], other=0.0)
    share = tl.where(held, tl.exp2(part_lse - denominator), 0.0)
    result = tl.sum(values * share[:, None], 0)
    tl.store(out + row * DIM + tl.arange(0, DIM), result.to(out.dtype.element_ty))
    tl.store(lse + row, denominator * LN2)


@triton.jit
def gated(
    acc, m, total, sinks, gate, head, row, live, gate_row, gate_dim,
    DIM: tl.constexpr, HAS_SINKS: tl.constexpr, GATED: tl.constexpr,
):  # fmt: skip
    """A branch's output under its sigmoid gate."""
    denominator = normaliser(m, total, sinks, tl.where(live, head, 0), HAS_SINKS)
    result = acc * tl.exp2(m - denominator)[:, None]
    if GATED:
        at = row[:, None] * gate_row + tl.arange(0, DIM)[None, :] * gate_dim
        result = result * tl.sigmoid(tl.load(gate + at, mask=live[:, None], other=0.0).to(tl.float32))
    return result


@triton.jit
def sparse_decode_kernel(
    q, keys_of, values_of, near_keys_of, near_values_of, indices, starts,
    sinks, near_sinks, gate, near_gate, out,
    keys, near_keys, window, count, gate_row, gate_dim, scale,
    HEADS: tl.constexpr, GROUP: tl.constexpr, ROWS: tl.constexpr, DIM: tl.constexpr, BLOCK: tl.constexpr,
    KEPT: tl.constexpr, HAS_SINKS: tl.constexpr, GATED: tl.constexpr,
):  # fmt: skip
    """A sparse layer's attention: selected blocks of the shared cache and the own window, gated and summed."""
    pair = tl.program_id(0)
    head, row, live, q_tile = head_rows(q, pair, HEADS * DIM, HEADS, GROUP, ROWS, DIM)
    start = tl.load(starts + pair // (HEADS // GROUP)).to(tl.int32)
    slot = tl.arange(0, KEPT)
    listed = tl.load(indices + pair * count + slot, mask=slot < count, other=-1)
    m = tl.full([ROWS], -float("inf"), tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    acc = tl.zeros([ROWS, DIM], tl.float32)
    for n in range(0, tl.sum((listed >= 0).to(tl.int32), 0)):
        tile = start + tl.load(indices + pair * count + n) * BLOCK
        k_tile = keys_of.load([pair * keys + tile, 0])
        v_tile = values_of.load([pair * keys + tile, 0])
        cols = tile + tl.arange(0, BLOCK)
        scores = tl.dot(q_tile, k_tile.T, input_precision="ieee")
        scores = tl.where((cols < keys)[None, :], scores, -float("inf"))
        m, total, acc = softmax_step(scores, tl.max(scores, 1), scale, m, total, acc, v_tile)
    result = gated(acc, m, total, sinks, gate, head, row, live, gate_row, gate_dim, DIM, HAS_SINKS, GATED)

    first = tl.maximum(tl.maximum(near_keys - window, start - (keys - near_keys)), 0)
    m = tl.full([ROWS], -float("inf"), tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    acc = tl.zeros([ROWS, DIM], tl.float32)
    for tile in range(first, near_keys, BLOCK):
        k_tile = near_keys_of.load([pair * near_keys + tile, 0])
        v_tile = near_values_of.load([pair * near_keys + tile, 0])
        cols = tile + tl.arange(0, BLOCK)
        scores = tl.dot(q_tile, k_tile.T, input_precision="ieee")
        scores = tl.where((cols < near_keys)[None, :], scores, -float("inf"))
        m, total, acc = softmax_step(scores, tl.max(scores, 1), scale, m, total, acc, v_tile)
    result += gated(acc, m, total, near_sinks, near_gate, head, row, live, gate_row, gate_dim, DIM, HAS_SINKS, GATED)
    at = row[:, None] * DIM + tl.arange(0, DIM)
    tl.store(out + at, result.to(out.dtype.element_ty), mask=live[:, None])
