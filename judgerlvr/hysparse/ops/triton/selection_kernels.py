"""Kernels that choose blocks from block maxima, and that join the choices of neighbouring queries."""

# Kernel arguments are pointers and scalars that Triton types itself.
# ruff: noqa: ANN001, ANN201
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

NOTHING = tl.constexpr(-(1 << 63))
BEYOND = tl.constexpr(0x7FFFFFFF)
INFINITY_BITS = tl.constexpr(0x7F800000)
LEAST = tl.constexpr(-(1 << 31))


@triton.jit
def ordered_score(score, number, own, first, local):
    """Int32 that sorts as the score does, forced blocks on top."""
    bits = score.to(tl.int32, bitcast=True)
    forced = (number < first) | (number > own - local)
    return tl.where(forced, INFINITY_BITS, bits ^ ((bits >> 31) & 0x7FFFFFFF))


@triton.jit
def ranked(score, number, own, first, local):
    """One int64 a block that sorts as the selection ranks: by score, forced blocks on top, ties by lower block."""
    ordered = ordered_score(score, number, own, first, local)
    key = (ordered.to(tl.int64) << 32) | (number ^ BEYOND).to(tl.int64)
    return tl.where(number <= own, key, NOTHING)


@triton.jit
def own_block(starts, row, live, offset, block):
    """Block of each query on its own sequence's grid, -1 for no query. ``starts`` belong to the query's batch row."""
    own = (offset + row - tl.load(starts + row, mask=live, other=0).to(tl.int32)) // block
    return tl.where(live, own, -1)


@triton.jit
def program_rows(
    starts, queries, offset, from_query, chunk, block, HEADS: tl.constexpr, GROUP: tl.constexpr, TOKENS: tl.constexpr
):  # fmt: skip
    """A program's KV group (first head, number) and its queries (in the chunk, in all, alive, their own blocks)."""
    kv_heads: tl.constexpr = HEADS // GROUP
    batch = tl.program_id(1) // kv_heads
    kv_head = tl.program_id(1) % kv_heads
    token = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)
    live = token < chunk
    row = from_query + token
    own = own_block(starts + batch * queries, row, live, offset, block)
    head = (batch * HEADS + kv_head * GROUP).to(tl.int64)
    return head, batch * kv_heads + kv_head, token, row, live, own


@triton.jit
def group_score(maxima, lse, head, number, token, row, live, held, queries, chunk, blocks, GROUP: tl.constexpr):
    """Log of the largest probability in each block over a group's heads, [tokens, blocks]. -inf if not ``held``."""
    score = tl.full(held.shape, -float("inf"), tl.float32)
    # The maxima of a head fill less than 2 ** 31 elements. Short offsets from a long base save registers.
    at = number * chunk + token[:, None]
    for member in tl.static_range(GROUP):
        normaliser = tl.load(lse + (head + member) * queries + row, mask=live, other=0.0)
        of_head = maxima + (head + member) * blocks * chunk
        score = tl.maximum(score, tl.load(of_head + at, mask=held, other=-float("inf")) - normaliser[:, None])
    return score


@triton.jit
def threshold_kernel(
    maxima, lse, starts, indices,
    queries, offset, from_query, chunk, blocks, count, first, local, block,
    HEADS: tl.constexpr, GROUP: tl.constexpr, TOKENS: tl.constexpr, HELD: tl.constexpr, KEPT: tl.constexpr,
):  # fmt: skip
    """The result of ``select_kernel``, with all HELD >= ``blocks`` scores of TOKENS queries in registers.

    The kernel bisects for a score that at least ``count`` blocks reach and, unless scores are equal, no more. A prefix
    sum then places the chosen blocks. Nothing is sorted.
    """
    head, group, token, row, live, own = program_rows(
        starts, queries, offset, from_query, chunk, block, HEADS, GROUP, TOKENS
    )
    number = tl.arange(0, HELD)[None, :]
    held = number <= own[:, None]
    score = group_score(maxima, lse, head, number, token, row, live, held, queries, chunk, blocks, GROUP)
    key = tl.where(held, ordered_score(score, number, own[:, None], first, local), LEAST)

    # At least ``count`` keys reach low, or all keys if fewer are visible. Fewer than ``count`` reach high.
    low = tl.min(tl.where(held, key, BEYOND), 1)
    high = tl.max(key, 1) + 1
    open_rows = (own >= count) & (high - 1 > low)
    while tl.max(open_rows.to(tl.int32), 0) > 0:
        middle = (low & high) + ((low ^ high) >> 1)
        reached = tl.sum((key >= middle[:, None]).to(tl.int32), 1)
        low = tl.where(open_rows & (reached >= count), middle, low)
        high = tl.where(open_rows & (reached < count), middle, high)
        open_rows = open_rows & (reached != count) & (low + 1 < high)
    above = held & (key > low[:, None])
    equal = held & (key == low[:, None])
    # One scan counts both: scores above the threshold in the lower 16 bits, and scores equal to the threshold above.
    seen = tl.cumsum(above.to(tl.int32) + (equal.to(tl.int32) << 16), 1)
    room = count - tl.sum(above.to(tl.int32), 1)
    place = (seen & 0xFFFF) + tl.minimum(seen >> 16, room[:, None]) - 1
    chosen = above | (equal & ((seen >> 16) <= room[:, None]))
    indices += (group.to(tl.int64) * queries + from_query) * count
    tl.store(indices + (token[:, None] * count + place), number, mask=chosen)
    slot = tl.arange(0, KEPT)[None, :]
    padding = live[:, None] & (slot < count) & (slot > own[:, None])
    tl.store(indices + (token[:, None] * count + slot), -1, mask=padding)


@triton.jit
def select_kernel(
    maxima, lse, starts, indices,
    queries, offset, from_query, chunk, blocks, count, first, local, block,
    HEADS: tl.constexpr, GROUP: tl.constexpr, TOKENS: tl.constexpr, KEPT: tl.constexpr, STEP: tl.constexpr,
):  # fmt: skip
    """Ascending indices of the ``count`` best blocks of TOKENS queries, padded with -1. KEPT is the next power of two.

    ``maxima`` [batch, heads, blocks, chunk] comes from the forward kernel. Blocks after a query's own block are not
    read. A step sorts STEP new blocks and merges them with the KEPT best so far.
    """
    head, group, token, row, live, own = program_rows(
        starts, queries, offset, from_query, chunk, block, HEADS, GROUP, TOKENS
    )
    best = tl.full([TOKENS, KEPT], NOTHING, tl.int64)
    for low in range(0, tl.max(own) + 1, STEP):
        number = (low + tl.arange(0, STEP))[None, :]
        held = number <= own[:, None]
        score = group_score(maxima, lse, head, number, token, row, live, held, queries, chunk, blocks, GROUP)
        fresh = tl.topk(ranked(score, number, own[:, None], first, local), KEPT)
        best = tl.topk(tl.reshape(tl.join(best, fresh), [TOKENS, 2 * KEPT]), KEPT)
    slot = tl.arange(0, KEPT)[None, :]
    number = (best & 0xFFFFFFFF).to(tl.int32) ^ BEYOND
    number = tl.sort(tl.where((best == NOTHING) | (slot >= count), BEYOND, number))
    at = (group.to(tl.int64) * queries + row)[:, None] * count + slot
    tl.store(indices + at, tl.where(number == BEYOND, -1, number), mask=live[:, None] & (slot < count))


@triton.jit
def union_kernel(
    indices, starts, begins, bits, counts,
    queries, count, slots, block,
    KV_HEADS: tl.constexpr, WIDTH: tl.constexpr, KEPT: tl.constexpr,
):  # fmt: skip
    """Union of the selections of WIDTH neighbouring queries: where its blocks begin, and who selected each block.

    ``bits`` and the unused slots of ``begins`` are filled beforehand. Setting bits commutes, so the atomic operations
    give the same result in any order.
    """
    batch = tl.program_id(1) // KV_HEADS
    number = tl.arange(0, WIDTH * KEPT)
    query = number // KEPT
    row = tl.program_id(0) * WIDTH + query
    held = (row < queries) & (number % KEPT < count)
    at = (tl.program_id(1).to(tl.int64) * queries + row) * count + number % KEPT
    chosen = tl.load(indices + at, mask=held, other=-1)
    start = tl.load(starts + batch * queries + row, mask=held, other=0).to(tl.int32)
    # At most 64 queries share a tile, and a row has fewer than 2 ** 25 keys.
    keys = tl.sort(tl.where(chosen >= 0, (start + chosen * block) * 64 + query, BEYOND))
    begin = keys >> 6
    before = tl.gather(begin, tl.maximum(number - 1, 0), 0)
    fresh = (keys != BEYOND) & ((number == 0) | (begin != before))
    slot = tl.cumsum(fresh.to(tl.int32), 0) - 1
    tile = tl.program_id(1).to(tl.int64) * tl.num_programs(0) + tl.program_id(0)
    tl.store(begins + tile * slots + slot, begin, mask=fresh)
    bit = tl.full([WIDTH * KEPT], 1, tl.int64) << (keys & 63).to(tl.int64)
    tl.atomic_or(bits + tile * slots + slot, bit, mask=keys != BEYOND, sem="relaxed")
    tl.store(counts + tile, tl.sum(fresh.to(tl.int32), 0))
