"""Kernel in which two union tiles share staged blocks, and each skips the blocks that none of its queries chose."""

# Kernel arguments are pointers and scalars that Triton types itself.
# ruff: noqa: ANN001, ANN201
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

from judgerlvr.hysparse.ops.triton.range_kernels import LN2, normaliser, softmax_step
from judgerlvr.hysparse.ops.triton.sparse_kernels import last_chosen, load_tile, tile_rows


@triton.jit
def visit_block(q_tile, k_tile, v_tile, mine, token, where, live, cols, scale, m, total, acc):
    """Attend to one staged block. ``mine`` holds a bit for each query of this tile."""
    seen = cols <= last_chosen(mine, token, where, live)[:, None]
    scores = tl.dot(q_tile, k_tile.T, input_precision="ieee")
    scores = tl.where(seen, scores, -float("inf"))
    return softmax_step(scores, tl.max(scores, 1), scale, m, total, acc, v_tile)


@triton.jit
def finish_tile(
    m, total, acc, sinks, head, first_head, first, outputs_of, lse, q_row, live,
    GROUP: tl.constexpr, WIDTH: tl.constexpr, DIM: tl.constexpr, HAS_SINKS: tl.constexpr,
):  # fmt: skip
    """Write output and log normaliser of one tile. A tile behind the last query writes nothing."""
    denominator = normaliser(m, total, sinks, head, HAS_SINKS)
    result = tl.reshape((acc * tl.exp2(m - denominator)[:, None]).to(outputs_of.dtype), [GROUP, WIDTH, DIM])
    outputs_of.store([first_head, first, 0], result)
    tl.store(lse + q_row, denominator * LN2, mask=live)


@triton.jit
def staged_kernel(
    queries_of, keys_of, values_of, sinks, begins, bits, counts, outputs_of, lse,
    queries, keys, offset, slots, scale,
    HEADS: tl.constexpr, GROUP: tl.constexpr, DIM: tl.constexpr,
    WIDTH: tl.constexpr, BLOCK: tl.constexpr, HAS_SINKS: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Output and log normaliser of two neighbouring tiles of WIDTH queries over their common union of blocks."""
    kv_heads: tl.constexpr = HEADS // GROUP
    batch = tl.program_id(1) // kv_heads
    kv_head = tl.program_id(1) % kv_heads
    low, high = 2 * tl.program_id(0), 2 * tl.program_id(0) + 1
    token, head, row, q_row, live = tile_rows(low, batch, kv_head, queries, HEADS, GROUP, WIDTH)
    first_head = batch * HEADS + kv_head * GROUP
    low_tile = load_tile(queries_of, first_head, low * WIDTH, GROUP * WIDTH, DIM)
    high_tile = load_tile(queries_of, first_head, high * WIDTH, GROUP * WIDTH, DIM)
    m = tl.full([WIDTH * GROUP], -float("inf"), tl.float32)
    total = tl.zeros([WIDTH * GROUP], tl.float32)
    acc = tl.zeros([WIDTH * GROUP, DIM], tl.float32)
    high_m, high_total, high_acc = m, total, acc
    union = tl.program_id(1).to(tl.int64) * tl.num_programs(0) + tl.program_id(0)
    for n in tl.range(0, tl.load(counts + union), num_stages=STAGES):
        begin = tl.load(begins + union * slots + n)
        chosen = tl.load(bits + union * slots + n)
        k_tile = keys_of.load([tl.program_id(1) * keys + begin, 0])
        v_tile = values_of.load([tl.program_id(1) * keys + begin, 0])
        cols = begin + tl.arange(0, BLOCK)
        # Every warp of the program takes the same branch.
        if (chosen & ((1 << WIDTH) - 1)) != 0:
            m, total, acc = visit_block(
                low_tile, k_tile, v_tile, chosen, token, offset + row, live, cols, scale, m, total, acc
            )
        if (chosen >> WIDTH) != 0:
            high_m, high_total, high_acc = visit_block(
                high_tile, k_tile, v_tile, chosen >> WIDTH, token, offset + row + WIDTH, row + WIDTH < queries, cols,
                scale, high_m, high_total, high_acc,
            )  # fmt: skip
    finish_tile(
        m, total, acc, sinks, head, first_head, low * WIDTH, outputs_of, lse, q_row, live, GROUP, WIDTH, DIM, HAS_SINKS
    )
    finish_tile(
        high_m, high_total, high_acc, sinks, head, first_head, high * WIDTH, outputs_of, lse, q_row + WIDTH,
        row + WIDTH < queries, GROUP, WIDTH, DIM, HAS_SINKS,
    )  # fmt: skip
