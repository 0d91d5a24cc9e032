"""Kernels of attention over selected blocks. A program treats a union tile: its queries times the heads of a group."""

# Kernel arguments are pointers and scalars that Triton types itself.
# ruff: noqa: ANN001, ANN201
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

from judgerlvr.hysparse.ops.triton.range_kernels import LN2, normaliser, score_gradient, softmax_step


@triton.jit
def tile_rows(tile, batch, kv_head, queries, HEADS: tl.constexpr, GROUP: tl.constexpr, WIDTH: tl.constexpr):
    """Rows of a union tile, its queries once a head: query of each row, and place in [batch, heads, queries]."""
    number = tl.arange(0, GROUP * WIDTH)
    token = number % WIDTH
    row = tile * WIDTH + token
    head = kv_head * GROUP + number // WIDTH
    return token, head, row, (batch * HEADS + head).to(tl.int64) * queries + row, row < queries


@triton.jit
def load_tile(rows_of, head, token, SIZE: tl.constexpr, DIM: tl.constexpr):
    """Rows of a union tile, [SIZE, DIM], through a descriptor of [heads, queries, dim] that clips the queries.

    Pointers to as many rows would not fit in registers beside the accumulators.
    """
    return tl.reshape(rows_of.load([head, token, 0]), [SIZE, DIM])


@triton.jit
def last_chosen(bits, token, where, live):
    """Last key of a block that each row may see: the row's own last key if its bit selects the block, else none."""
    selected = ((bits >> token.to(tl.int64)) & 1) == 1
    return tl.where(selected & live, where, -1)


@triton.jit
def sparse_forward_kernel(
    queries_of, keys_of, values_of, sinks, begins, bits, counts, outputs_of, lse,
    queries, keys, offset, slots, scale,
    HEADS: tl.constexpr, GROUP: tl.constexpr, DIM: tl.constexpr,
    WIDTH: tl.constexpr, BLOCK: tl.constexpr, HAS_SINKS: tl.constexpr,
):  # fmt: skip
    """Output and log normaliser of one tile over its union of blocks."""
    kv_heads: tl.constexpr = HEADS // GROUP
    batch = tl.program_id(1) // kv_heads
    kv_head = tl.program_id(1) % kv_heads
    token, head, row, q_row, live = tile_rows(tl.program_id(0), batch, kv_head, queries, HEADS, GROUP, WIDTH)
    first_head, first = batch * HEADS + kv_head * GROUP, tl.program_id(0) * WIDTH
    q_tile = load_tile(queries_of, first_head, first, GROUP * WIDTH, DIM)
    m = tl.full([WIDTH * GROUP], -float("inf"), tl.float32)
    total = tl.zeros([WIDTH * GROUP], tl.float32)
    acc = tl.zeros([WIDTH * GROUP, DIM], tl.float32)
    key_row = tl.program_id(1) * keys
    union = tl.program_id(1).to(tl.int64) * tl.num_programs(0) + tl.program_id(0)
    for n in range(0, tl.load(counts + union)):
        begin = tl.load(begins + union * slots + n)
        k_tile = keys_of.load([key_row + begin, 0])
        v_tile = values_of.load([key_row + begin, 0])
        cols = begin + tl.arange(0, BLOCK)
        seen = cols <= last_chosen(tl.load(bits + union * slots + n), token, offset + row, live)[:, None]
        scores = tl.dot(q_tile, k_tile.T, input_precision="ieee")
        scores = tl.where(seen, scores, -float("inf"))
        m, total, acc = softmax_step(scores, tl.max(scores, 1), scale, m, total, acc, v_tile)
    denominator = normaliser(m, total, sinks, head, HAS_SINKS)
    result = acc * tl.exp2(m - denominator)[:, None]
    result = tl.reshape(result.to(outputs_of.dtype), [GROUP, WIDTH, DIM])
    outputs_of.store([first_head, first, 0], result)
    tl.store(lse + q_row, denominator * LN2, mask=live)


@triton.jit
def sparse_backward_q_kernel(
    queries_of, keys_of, values_of, begins, bits, counts, lse, delta, grads_of, query_grads_of,
    queries, keys, offset, slots, scale,
    HEADS: tl.constexpr, GROUP: tl.constexpr, DIM: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradient of a tile's queries, over the same union as the forward pass."""
    kv_heads: tl.constexpr = HEADS // GROUP
    batch = tl.program_id(1) // kv_heads
    kv_head = tl.program_id(1) % kv_heads
    token, _head, row, q_row, live = tile_rows(tl.program_id(0), batch, kv_head, queries, HEADS, GROUP, WIDTH)
    first_head, first = batch * HEADS + kv_head * GROUP, tl.program_id(0) * WIDTH
    q_tile = load_tile(queries_of, first_head, first, GROUP * WIDTH, DIM)
    do_tile = load_tile(grads_of, first_head, first, GROUP * WIDTH, DIM)
    row_lse = tl.load(lse + q_row, mask=live, other=0.0)
    row_delta = tl.load(delta + q_row, mask=live, other=0.0)
    acc = tl.zeros([WIDTH * GROUP, DIM], tl.float32)
    key_row = tl.program_id(1) * keys
    union = tl.program_id(1).to(tl.int64) * tl.num_programs(0) + tl.program_id(0)
    for n in range(0, tl.load(counts + union)):
        begin = tl.load(begins + union * slots + n)
        k_tile = keys_of.load([key_row + begin, 0])
        v_tile = values_of.load([key_row + begin, 0])
        cols = begin + tl.arange(0, BLOCK)
        seen = cols <= last_chosen(tl.load(bits + union * slots + n), token, offset + row, live)[:, None]
        scores = tl.dot(q_tile, k_tile.T, input_precision="ieee")
        _weights, grad = score_gradient(scores, seen, scale, row_lse, row_delta, v_tile, do_tile)
        acc = tl.dot(grad.to(k_tile.dtype), k_tile, acc, input_precision="ieee")
    result = tl.reshape((acc * scale).to(query_grads_of.dtype), [GROUP, WIDTH, DIM])
    query_grads_of.store([first_head, first, 0], result)


@triton.jit
def sparse_backward_kv_kernel(
    queries_of, keys_of, values_of, begins, bits, order, entries, lows, highs, lse, delta, grads_of, grad_k, grad_v,
    queries, keys, offset, slots, tiles, scale,
    HEADS: tl.constexpr, GROUP: tl.constexpr, DIM: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradients of BLOCK keys and values in float32, summed over their readers in ascending order, without atomics.

    ``order`` puts the key tiles with the most readers first. The first blocks may have hundreds of times more readers
    than other blocks, and must not begin last.
    """
    kv_heads: tl.constexpr = HEADS // GROUP
    batch = tl.program_id(1) // kv_heads
    kv_head = tl.program_id(1) % kv_heads
    pair = tl.program_id(1).to(tl.int64)
    owned = tl.load(order + pair * tl.num_programs(0) + tl.program_id(0)).to(tl.int32)
    cols = owned * BLOCK + tl.arange(0, BLOCK)
    held = cols < keys
    # Rows beyond the last key belong to another head. No query sees them.
    key_row = tl.program_id(1) * keys + owned * BLOCK
    k_tile = keys_of.load([key_row, 0])
    v_tile = values_of.load([key_row, 0])
    sum_k = tl.zeros([BLOCK, DIM], tl.float32)
    sum_v = tl.zeros([BLOCK, DIM], tl.float32)
    key_tile = pair * tl.num_programs(0) + owned
    for n in range(tl.load(lows + key_tile), tl.load(highs + key_tile)):
        entry = tl.load(entries + pair * tiles * slots + n)
        begin = tl.load(begins + pair * tiles * slots + entry)
        token, _head, row, q_row, live = tile_rows(entry // slots, batch, kv_head, queries, HEADS, GROUP, WIDTH)
        first_head, first = batch * HEADS + kv_head * GROUP, entry // slots * WIDTH
        q_tile = load_tile(queries_of, first_head, first, GROUP * WIDTH, DIM)
        do_tile = load_tile(grads_of, first_head, first, GROUP * WIDTH, DIM)
        row_lse = tl.load(lse + q_row, mask=live, other=0.0)
        row_delta = tl.load(delta + q_row, mask=live, other=0.0)
        # Off the packed grid, a selected block overlaps two of the tiles that own keys.
        inside = (cols >= begin) & (cols < begin + BLOCK)
        last = last_chosen(tl.load(bits + pair * tiles * slots + entry), token, offset + row, live)
        seen = (cols <= last[:, None]) & inside
        scores = tl.dot(q_tile, k_tile.T, input_precision="ieee")
        weights, grad = score_gradient(scores, seen, scale, row_lse, row_delta, v_tile, do_tile)
        sum_v = tl.dot(weights.to(do_tile.dtype).T, do_tile, sum_v, input_precision="ieee")
        sum_k = tl.dot(grad.to(q_tile.dtype).T, q_tile, sum_k, input_precision="ieee")
    at = (pair * keys + cols)[:, None] * DIM + tl.arange(0, DIM)
    tl.store(grad_k + at, sum_k * scale, mask=held[:, None])
    tl.store(grad_v + at, sum_v, mask=held[:, None])
