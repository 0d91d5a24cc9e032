"""Kernels of attention over a contiguous range of keys: causal from the sequence's start, or a window.

Each program treats BLOCK_M neighbouring queries of one head. If packed sequences meet inside a tile, the forward pass
visits the tile once a sequence, because the grid of selection blocks restarts there. Tiles come through tensor
descriptors over [batch * heads * tokens, dim]. Rows that run into the next head are masked, or not stored. Queries come
through descriptors too. Pointers to their rows would be held until the output is stored, and would spill.
"""

# Kernel arguments are pointers and scalars that Triton types itself.
# ruff: noqa: ANN001, ANN201
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

FAR = tl.constexpr(1 << 30)
# Softmax runs in powers of two, because the hardware computes powers of two.
LOG2E = tl.constexpr(1.4426950408889634)
LN2 = tl.constexpr(0.6931471805599453)


@triton.jit
def softmax_step(scores, peak, scale, m, total, acc, values):
    """One step of online softmax over a key tile of raw products. Hidden keys are -inf.

    ``peak`` is the largest of each row, ``m`` the running maximum times scale in powers of two. Rows that have seen no
    key stay empty.
    """
    m_next = tl.maximum(m, peak * (scale * LOG2E))
    pivot = tl.where(m_next == -float("inf"), 0.0, m_next)
    decay = tl.exp2(m - pivot)
    weights = tl.exp2(scores * (scale * LOG2E) - pivot[:, None])
    total = total * decay + tl.sum(weights, 1)
    acc = tl.dot(weights.to(values.dtype), values, acc * decay[:, None], input_precision="ieee")
    return m_next, total, acc


@triton.jit
def normaliser(m, total, sinks, head, HAS_SINKS: tl.constexpr):
    """Log in powers of two of the softmax denominator, the head's sink included."""
    if HAS_SINKS:
        sink = tl.load(sinks + head) * LOG2E
        peak = tl.maximum(m, sink)
        total = total * tl.exp2(m - peak) + tl.exp2(sink - peak)
        m = peak
    return m + tl.log2(total)


@triton.jit
def visit_keys(
    low, high, q_tile, m, total, acc, keys_of, values_of, key_row, begin, where, mine, window, scale,
    maxima, at, chunk, segment,
    BLOCK_N: tl.constexpr, BLOCK: tl.constexpr, EMIT: tl.constexpr, WINDOWED: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """Attend to the keys [low, high) in tiles. Without MASKED every row sees every key."""
    for tile in range(low, high, BLOCK_N):
        k_tile = keys_of.load([key_row + tile, 0])
        v_tile = values_of.load([key_row + tile, 0])
        scores = tl.dot(q_tile, k_tile.T, input_precision="ieee")
        if MASKED:
            cols = tile + tl.arange(0, BLOCK_N)
            seen = mine[:, None] & (cols <= where[:, None])
            if WINDOWED:
                seen = seen & (cols > where[:, None] - window) & (cols >= begin[:, None])
            scores = tl.where(seen, scores, -float("inf"))
        if EMIT and BLOCK_N == BLOCK:
            peak = tl.max(scores, 1)
            tl.store(maxima + at + ((tile - segment) // BLOCK).to(tl.int64) * chunk, peak * scale, mask=mine)
        elif EMIT:
            parts: tl.constexpr = BLOCK_N // BLOCK
            best = tl.max(tl.reshape(scores, [scores.shape[0], parts, BLOCK]), 2)
            number = (tile - segment) // BLOCK + tl.arange(0, parts)
            # The last tile may reach past the last block.
            held = mine[:, None] & (segment + number * BLOCK < high)
            tl.store(maxima + at[:, None] + number.to(tl.int64) * chunk, best * scale, mask=held)
            peak = tl.max(best, 1)
        else:
            peak = tl.max(scores, 1)
        m, total, acc = softmax_step(scores, peak, scale, m, total, acc, v_tile)
    return m, total, acc


@triton.jit
def forward_kernel(
    queries_of, keys_of, values_of, starts, sinks, out, lse, maxima,
    queries, keys, first_key, offset, from_query, chunk, blocks, window, scale,
    HEADS: tl.constexpr, GROUP: tl.constexpr, DIM: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK: tl.constexpr,
    HAS_SINKS: tl.constexpr, EMIT: tl.constexpr, WINDOWED: tl.constexpr,
):  # fmt: skip
    """Output and log normaliser. With EMIT also the largest logit of each block of BLOCK keys.

    ``maxima`` [batch, heads, blocks, chunk] float32, tokens fastest, holds the queries from ``from_query`` on. Blocks
    after a query's own are left unwritten, or -inf.
    """
    batch = tl.program_id(1) // HEADS
    head = tl.program_id(1) % HEADS
    # The last queries see the most keys. The grid begins with them, so that it ends in short programs.
    begin_at = (tl.num_programs(0) - 1 - tl.program_id(0)) * BLOCK_M
    local = begin_at + tl.arange(0, BLOCK_M)
    rows = from_query + local
    live = local < chunk
    where = offset + rows
    begin = tl.load(starts + batch * queries + rows, mask=live, other=FAR).to(tl.int32)
    dims = tl.arange(0, DIM)
    q_row = (batch * HEADS + head).to(tl.int64) * queries + rows
    q_tile = queries_of.load([(batch * HEADS + head) * queries + from_query + begin_at, 0])
    key_row = (batch * (HEADS // GROUP) + head // GROUP) * keys - first_key
    at = tl.program_id(1).to(tl.int64) * blocks * chunk + local
    m = tl.full([BLOCK_M], -float("inf"), tl.float32)
    total = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, DIM], tl.float32)

    segment = tl.min(begin)
    final = tl.max(tl.where(live, begin, -1))
    while segment <= final:
        mine = begin == segment
        high = tl.max(tl.where(mine, where, -1)) + 1
        first = segment
        if WINDOWED:
            first = tl.maximum(segment, tl.min(tl.where(mine, where, FAR)) - window + 1)
        else:
            alone = (segment == final) & (segment == tl.min(begin))
            shared = (tl.min(where) + 1 - segment) // BLOCK_N * BLOCK_N
            first = segment + tl.where(alone, shared, 0)
            m, total, acc = visit_keys(
                segment, first, q_tile, m, total, acc, keys_of, values_of, key_row, begin, where, live, window, scale,
                maxima, at, chunk, segment, BLOCK_N, BLOCK, EMIT, WINDOWED, False,
            )  # fmt: skip
        m, total, acc = visit_keys(
            first, high, q_tile, m, total, acc, keys_of, values_of, key_row, begin, where, mine, window, scale,
            maxima, at, chunk, segment, BLOCK_N, BLOCK, EMIT, WINDOWED, True,
        )  # fmt: skip
        segment = tl.min(tl.where(begin > segment, begin, FAR))

    denominator = normaliser(m, total, sinks, head, HAS_SINKS)
    result = acc * tl.exp2(m - denominator)[:, None]
    tl.store(out + q_row[:, None] * DIM + dims, result.to(out.dtype.element_ty), mask=live[:, None])
    tl.store(lse + q_row, denominator * LN2, mask=live)


@triton.jit
def delta_kernel(out, grad_out, delta, rows, DIM: tl.constexpr, ROWS: tl.constexpr):
    """Products of output and its gradient summed over the head dim, float32. The gradient of the softmax subtracts
    them.
    """
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    at = row[:, None] * DIM + tl.arange(0, DIM)
    held = (row < rows)[:, None]
    product = tl.load(out + at, mask=held, other=0.0).to(tl.float32) * tl.load(grad_out + at, mask=held, other=0.0)
    tl.store(delta + row, tl.sum(product, 1), mask=row < rows)


@triton.jit
def score_gradient(scores, seen, scale, lse, delta, v_tile, grad_out):
    """Probabilities and the gradient of the scaled logits, from raw products and the saved normaliser."""
    weights = tl.where(seen, tl.exp2(scores * (scale * LOG2E) - (lse * LOG2E)[:, None]), 0.0)
    toward = tl.dot(grad_out, v_tile.T, input_precision="ieee")
    return weights, weights * (toward - delta[:, None])


@triton.jit
def backward_q_kernel(
    queries_of, keys_of, values_of, starts, lse, delta, grads_of, grad_q,
    queries, keys, first_key, offset, window, scale,
    HEADS: tl.constexpr, GROUP: tl.constexpr, DIM: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, WINDOWED: tl.constexpr,
):  # fmt: skip
    """Gradient of the queries. Sequences that meet in a tile are simply masked here."""
    batch = tl.program_id(1) // HEADS
    head = tl.program_id(1) % HEADS
    begin_at = (tl.num_programs(0) - 1 - tl.program_id(0)) * BLOCK_M
    rows = begin_at + tl.arange(0, BLOCK_M)
    live = rows < queries
    where = offset + rows
    begin = tl.load(starts + batch * queries + rows, mask=live, other=FAR).to(tl.int32)
    dims = tl.arange(0, DIM)
    q_row = (batch * HEADS + head).to(tl.int64) * queries + rows
    q_tile = queries_of.load([(batch * HEADS + head) * queries + begin_at, 0])
    do_tile = grads_of.load([(batch * HEADS + head) * queries + begin_at, 0])
    row_lse = tl.load(lse + q_row, mask=live, other=0.0)
    row_delta = tl.load(delta + q_row, mask=live, other=0.0)
    key_row = (batch * (HEADS // GROUP) + head // GROUP) * keys - first_key
    acc = tl.zeros([BLOCK_M, DIM], tl.float32)

    first = tl.min(begin)
    if WINDOWED:
        first = tl.maximum(first, tl.min(where) - window + 1)
    last = tl.max(tl.where(live, where, -1))
    for tile in range(first, last + 1, BLOCK_N):
        cols = tile + tl.arange(0, BLOCK_N)
        k_tile = keys_of.load([key_row + tile, 0])
        v_tile = values_of.load([key_row + tile, 0])
        seen = (cols >= begin[:, None]) & (cols <= where[:, None])
        if WINDOWED:
            seen = seen & (cols > where[:, None] - window)
        scores = tl.dot(q_tile, k_tile.T, input_precision="ieee")
        _weights, grad = score_gradient(scores, seen, scale, row_lse, row_delta, v_tile, do_tile)
        acc = tl.dot(grad.to(k_tile.dtype), k_tile, acc, input_precision="ieee")
    tl.store(grad_q + q_row[:, None] * DIM + dims, (acc * scale).to(grad_q.dtype.element_ty), mask=live[:, None])


@triton.jit
def backward_kv_kernel(
    queries_of, grads_of, keys_of, values_of, starts, ends, lse, delta, grad_k, grad_v,
    queries, keys, first_key, offset, window, scale,
    HEADS: tl.constexpr, GROUP: tl.constexpr, DIM: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, WINDOWED: tl.constexpr,
):  # fmt: skip
    """Gradients of keys and values: a program owns BLOCK_N keys and visits their readers in a fixed order.

    ``ends`` [batch, key tiles] int32: first query that begins after the tile's last key, and so reads none of it.
    """
    kv_heads: tl.constexpr = HEADS // GROUP
    batch = tl.program_id(1) // kv_heads
    kv_head = tl.program_id(1) % kv_heads
    slots = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    held = slots < keys
    cols = first_key + slots
    dims = tl.arange(0, DIM)
    key_row = (batch * kv_heads + kv_head) * keys + tl.program_id(0) * BLOCK_N
    k_tile = keys_of.load([key_row, 0])
    v_tile = values_of.load([key_row, 0])
    sum_k = tl.zeros([BLOCK_N, DIM], tl.float32)
    sum_v = tl.zeros([BLOCK_N, DIM], tl.float32)

    low = tl.maximum(tl.min(cols) - offset, 0) // BLOCK_M * BLOCK_M
    high = tl.load(ends + batch * tl.num_programs(0) + tl.program_id(0))
    if WINDOWED:
        high = tl.minimum(high, tl.max(cols) - offset + window)
    for member in range(GROUP):
        head_row = (batch * HEADS + kv_head * GROUP + member) * queries
        for tile in range(low, high, BLOCK_M):
            rows = tile + tl.arange(0, BLOCK_M)
            live = rows < queries
            begin = tl.load(starts + batch * queries + rows, mask=live, other=FAR).to(tl.int32)
            where = offset + rows
            # begin is far beyond every key where the row is not live
            seen = (cols >= begin[:, None]) & (cols <= where[:, None])
            if WINDOWED:
                seen = seen & (cols > where[:, None] - window)
            q_tile = queries_of.load([head_row + tile, 0])
            do_tile = grads_of.load([head_row + tile, 0])
            row_lse = tl.load(lse + head_row + rows, mask=live, other=0.0)
            row_delta = tl.load(delta + head_row + rows, mask=live, other=0.0)
            scores = tl.dot(q_tile, k_tile.T, input_precision="ieee")
            weights, grad = score_gradient(scores, seen, scale, row_lse, row_delta, v_tile, do_tile)
            sum_v = tl.dot(weights.to(do_tile.dtype).T, do_tile, sum_v, input_precision="ieee")
            sum_k = tl.dot(grad.to(q_tile.dtype).T, q_tile, sum_k, input_precision="ieee")
    at = ((batch * kv_heads + kv_head).to(tl.int64) * keys + slots)[:, None] * DIM + dims
    tl.store(grad_k + at, (sum_k * scale).to(grad_k.dtype.element_ty), mask=held[:, None])
    tl.store(grad_v + at, sum_v.to(grad_v.dtype.element_ty), mask=held[:, None])
