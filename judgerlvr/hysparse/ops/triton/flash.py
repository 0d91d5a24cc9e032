"""Kernels of attention over a contiguous range of keys: causal from the sequence's start, or a window.

Each program treats BLOCK_M neighbouring queries of one head. Where packed sequences meet inside a tile, the tile is
passed once a sequence, since the grid of selection blocks restarts there.
"""

# Kernel arguments are pointers and scalars that Triton types itself.
# ruff: noqa: ANN001, ANN201
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

FAR = tl.constexpr(1 << 30)


@triton.jit
def softmax_step(scores, m, total, acc, values):
    """One step of online softmax over a key tile; hidden keys are -inf. Rows that have seen no key stay empty."""
    m_next = tl.maximum(m, tl.max(scores, 1))
    pivot = tl.where(m_next == -float("inf"), 0.0, m_next)
    decay = tl.exp(m - pivot)
    weights = tl.exp(scores - pivot[:, None])
    total = total * decay + tl.sum(weights, 1)
    acc = acc * decay[:, None] + tl.dot(weights.to(values.dtype), values, input_precision="ieee")
    return m_next, total, acc


@triton.jit
def normaliser(m, total, sinks, head, HAS_SINKS: tl.constexpr):
    """Log of the softmax denominator, the head's sink included."""
    lse = m + tl.log(total)
    if HAS_SINKS:
        sink = tl.load(sinks + head)
        peak = tl.maximum(lse, sink)
        lse = peak + tl.log(tl.exp(lse - peak) + tl.exp(sink - peak))
    return lse


@triton.jit
def forward_kernel(
    q, k, v, starts, sinks, out, lse, maxima,
    queries, keys, first_key, offset, from_query, chunk, blocks, window, scale,
    HEADS: tl.constexpr, GROUP: tl.constexpr, DIM: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    HAS_SINKS: tl.constexpr, EMIT: tl.constexpr, WINDOWED: tl.constexpr,
):  # fmt: skip
    """Output and log normaliser; with EMIT also the largest logit of each block of BLOCK_N keys.

    ``maxima`` [batch, heads, blocks, chunk] float32, tokens fastest, holds the queries from ``from_query`` on.
    """
    batch = tl.program_id(1) // HEADS
    head = tl.program_id(1) % HEADS
    local = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    rows = from_query + local
    live = local < chunk
    where = offset + rows
    begin = tl.load(starts + batch * queries + rows, mask=live, other=FAR).to(tl.int32)
    dims = tl.arange(0, DIM)
    q_row = (batch * HEADS + head).to(tl.int64) * queries + rows
    q_tile = tl.load(q + q_row[:, None] * DIM + dims, mask=live[:, None], other=0.0)
    k_base = (batch * (HEADS // GROUP) + head // GROUP).to(tl.int64) * keys - first_key
    m = tl.full([BLOCK_M], -float("inf"), tl.float32)
    total = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, DIM], tl.float32)

    segment = tl.min(begin)
    final = tl.max(tl.where(live, begin, -1))
    while segment <= final:
        mine = begin == segment
        last = tl.max(tl.where(mine, where, -1))
        first = segment
        if WINDOWED:
            first = tl.maximum(segment, tl.min(tl.where(mine, where, FAR)) - window + 1)
        for tile in range(first, last + 1, BLOCK_N):
            cols = tile + tl.arange(0, BLOCK_N)
            held = (cols >= first_key) & (cols < first_key + keys)
            at = (k_base + cols)[:, None] * DIM + dims
            k_tile = tl.load(k + at, mask=held[:, None], other=0.0)
            v_tile = tl.load(v + at, mask=held[:, None], other=0.0)
            seen = mine[:, None] & (cols <= where[:, None]) & held
            if WINDOWED:
                seen = seen & (cols > where[:, None] - window)
            scores = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
            scores = tl.where(seen, scores, -float("inf"))
            if EMIT:
                number = (batch * HEADS + head).to(tl.int64) * blocks + (tile - segment) // BLOCK_N
                tl.store(maxima + number * chunk + local, tl.max(scores, 1), mask=live & mine)
            m, total, acc = softmax_step(scores, m, total, acc, v_tile)
        segment = tl.min(tl.where(begin > segment, begin, FAR))

    denominator = normaliser(m, total, sinks, head, HAS_SINKS)
    result = acc * tl.exp(m - denominator)[:, None]
    tl.store(out + q_row[:, None] * DIM + dims, result.to(out.dtype.element_ty), mask=live[:, None])
    tl.store(lse + q_row, denominator, mask=live)


@triton.jit
def score_gradient(scores, seen, lse, delta, v_tile, grad_out):
    """Probabilities and the gradient of the scaled logits, from the saved normaliser."""
    weights = tl.where(seen, tl.exp(scores - lse[:, None]), 0.0)
    toward = tl.dot(grad_out, tl.trans(v_tile), input_precision="ieee")
    return weights, weights * (toward - delta[:, None])


@triton.jit
def backward_q_kernel(
    q, k, v, starts, lse, delta, grad_out, grad_q,
    queries, keys, first_key, offset, window, scale,
    HEADS: tl.constexpr, GROUP: tl.constexpr, DIM: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, WINDOWED: tl.constexpr,
):  # fmt: skip
    """Gradient of the queries; here sequences that meet in a tile are simply masked."""
    batch = tl.program_id(1) // HEADS
    head = tl.program_id(1) % HEADS
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    live = rows < queries
    where = offset + rows
    begin = tl.load(starts + batch * queries + rows, mask=live, other=FAR).to(tl.int32)
    dims = tl.arange(0, DIM)
    q_row = (batch * HEADS + head).to(tl.int64) * queries + rows
    q_tile = tl.load(q + q_row[:, None] * DIM + dims, mask=live[:, None], other=0.0)
    do_tile = tl.load(grad_out + q_row[:, None] * DIM + dims, mask=live[:, None], other=0.0)
    row_lse = tl.load(lse + q_row, mask=live, other=0.0)
    row_delta = tl.load(delta + q_row, mask=live, other=0.0)
    k_base = (batch * (HEADS // GROUP) + head // GROUP).to(tl.int64) * keys - first_key
    acc = tl.zeros([BLOCK_M, DIM], tl.float32)

    first = tl.min(begin)
    if WINDOWED:
        first = tl.maximum(first, tl.min(where) - window + 1)
    last = tl.max(tl.where(live, where, -1))
    for tile in range(first, last + 1, BLOCK_N):
        cols = tile + tl.arange(0, BLOCK_N)
        held = (cols >= first_key) & (cols < first_key + keys)
        at = (k_base + cols)[:, None] * DIM + dims
        k_tile = tl.load(k + at, mask=held[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=held[:, None], other=0.0)
        seen = (cols >= begin[:, None]) & (cols <= where[:, None]) & held
        if WINDOWED:
            seen = seen & (cols > where[:, None] - window)
        scores = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        _weights, grad = score_gradient(scores, seen, row_lse, row_delta, v_tile, do_tile)
        acc += tl.dot(grad.to(k_tile.dtype), k_tile, input_precision="ieee")
    tl.store(grad_q + q_row[:, None] * DIM + dims, (acc * scale).to(grad_q.dtype.element_ty), mask=live[:, None])


@triton.jit
def backward_kv_kernel(
    q, k, v, starts, lse, delta, grad_out, grad_k, grad_v,
    queries, keys, first_key, offset, window, scale,
    HEADS: tl.constexpr, GROUP: tl.constexpr, DIM: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, WINDOWED: tl.constexpr,
):  # fmt: skip
    """Gradients of keys and values: a program owns BLOCK_N keys and visits their readers in a fixed order."""
    kv_heads: tl.constexpr = HEADS // GROUP
    batch = tl.program_id(1) // kv_heads
    kv_head = tl.program_id(1) % kv_heads
    slots = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    held = slots < keys
    cols = first_key + slots
    dims = tl.arange(0, DIM)
    at = ((batch * kv_heads + kv_head).to(tl.int64) * keys + slots)[:, None] * DIM + dims
    k_tile = tl.load(k + at, mask=held[:, None], other=0.0)
    v_tile = tl.load(v + at, mask=held[:, None], other=0.0)
    sum_k = tl.zeros([BLOCK_N, DIM], tl.float32)
    sum_v = tl.zeros([BLOCK_N, DIM], tl.float32)

    low = tl.maximum(tl.min(cols) - offset, 0) // BLOCK_M * BLOCK_M
    high = queries
    if WINDOWED:
        high = tl.minimum(queries, tl.max(cols) - offset + window)
    for tile in range(low, high, BLOCK_M):
        rows = tile + tl.arange(0, BLOCK_M)
        live = rows < queries
        begin = tl.load(starts + batch * queries + rows, mask=live, other=FAR).to(tl.int32)
        where = offset + rows
        seen = (cols >= begin[:, None]) & (cols <= where[:, None]) & live[:, None] & held
        if WINDOWED:
            seen = seen & (cols > where[:, None] - window)
        for member in range(GROUP):
            q_row = (batch * HEADS + kv_head * GROUP + member).to(tl.int64) * queries + rows
            q_tile = tl.load(q + q_row[:, None] * DIM + dims, mask=live[:, None], other=0.0)
            do_tile = tl.load(grad_out + q_row[:, None] * DIM + dims, mask=live[:, None], other=0.0)
            row_lse = tl.load(lse + q_row, mask=live, other=0.0)
            row_delta = tl.load(delta + q_row, mask=live, other=0.0)
            scores = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
            weights, grad = score_gradient(scores, seen, row_lse, row_delta, v_tile, do_tile)
            sum_v += tl.dot(tl.trans(weights.to(do_tile.dtype)), do_tile, input_precision="ieee")
            sum_k += tl.dot(tl.trans(grad.to(q_tile.dtype)), q_tile, input_precision="ieee")
    tl.store(grad_k + at, (sum_k * scale).to(grad_k.dtype.element_ty), mask=held[:, None])
    tl.store(grad_v + at, sum_v.to(grad_v.dtype.element_ty), mask=held[:, None])
