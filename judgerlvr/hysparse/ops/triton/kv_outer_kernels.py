"""Forward kernels that own key blocks: partial attention of a block's readers, and the merge of a query's partials."""

# Kernel arguments are pointers and scalars that Triton types itself.
# ruff: noqa: ANN001, ANN201
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

from judgerlvr.hysparse.ops.triton.range_kernels import LN2, LOG2E, normaliser


# A bound of 1 or 16 would be compiled anew.
@triton.jit(do_not_specialize=["low", "high", "begin_query", "first_owner"])
def partial_kernel(
    q, keys_of, values_of, entries, firsts, sizes, begins, owners, bounds, parts, part_lse,
    low, high, begin_query, first_owner, span, queries, keys, offset, scale,
    HEADS: tl.constexpr, GROUP: tl.constexpr, DIM: tl.constexpr, COUNT: tl.constexpr, BLOCK: tl.constexpr,
    READERS: tl.constexpr,
):  # fmt: skip
    """Softmax of each pair over the pair's block alone, for the tasks of the sections from ``low`` to ``high``.

    The results are an output and a log normaliser in powers of two. ``parts`` [owners, span * COUNT, GROUP, DIM] and
    ``part_lse`` [owners, span * COUNT, GROUP] are indexed by entry. Each program takes every n-th task. A tile holds
    READERS pairs times the heads of a group.
    """
    kv_heads: tl.constexpr = HEADS // GROUP
    row = tl.arange(0, READERS * GROUP)
    reader = row // GROUP
    member = row % GROUP
    dims = tl.arange(0, DIM)
    for task in range(tl.load(bounds + low) + tl.program_id(0), tl.load(bounds + high), tl.num_programs(0)):
        first = tl.load(firsts + task)
        size = tl.load(sizes + task)
        begin = tl.load(begins + task)
        owner = tl.load(owners + task)
        head = owner // kv_heads * HEADS + owner % kv_heads * GROUP
        # A long scalar base and short offsets save registers.
        q_base = q + (head.to(tl.int64) * queries + begin_query) * DIM
        part_base = (owner - first_owner).to(tl.int64) * span * COUNT * GROUP
        k_tile = keys_of.load([owner * keys + begin, 0])
        v_tile = values_of.load([owner * keys + begin, 0])
        cols = begin + tl.arange(0, BLOCK)
        for done in range(0, size, READERS):
            live = done + reader < size
            entry = tl.load(entries + first + done + reader, mask=live, other=0)
            q_row = member * queries + entry // COUNT
            q_tile = tl.load(q_base + (q_row[:, None] * DIM + dims), mask=live[:, None], other=0.0)
            scores = tl.dot(q_tile, k_tile.T, input_precision="ieee")
            seen = cols <= (offset + begin_query + entry // COUNT)[:, None]
            scores = tl.where(seen, scores * (scale * LOG2E), -float("inf"))
            peak = tl.max(scores, 1)
            weights = tl.exp2(scores - peak[:, None])
            total = tl.sum(weights, 1)
            result = tl.dot(weights.to(v_tile.dtype), v_tile, input_precision="ieee") / total[:, None]
            part = entry * GROUP + member
            place = parts + part_base * DIM + (part[:, None] * DIM + dims)
            tl.store(place, result.to(parts.dtype.element_ty), mask=live[:, None])
            tl.store(part_lse + part_base + part, peak + tl.log2(total), mask=live)


@triton.jit(do_not_specialize=["begin_query", "first_owner"])
def merge_kernel(
    parts, part_lse, indices, sinks, out, lse,
    begin_query, first_owner, span, queries,
    HEADS: tl.constexpr, GROUP: tl.constexpr, DIM: tl.constexpr, COUNT: tl.constexpr, KEPT: tl.constexpr,
    TOKENS: tl.constexpr, HAS_SINKS: tl.constexpr,
):  # fmt: skip
    """Output and log normaliser of TOKENS queries of a span. KEPT is the power of two from COUNT on.

    The sum runs over slots in ascending order, so the result repeats bitwise.
    """
    kv_heads: tl.constexpr = HEADS // GROUP
    owner = first_owner + tl.program_id(1)
    row = tl.arange(0, TOKENS * GROUP)
    local = tl.program_id(0) * TOKENS + row // GROUP
    query = begin_query + local
    live = (local < span) & (query < queries)
    part = (tl.program_id(1) * span + local) * COUNT * GROUP + row % GROUP
    chosen_at = indices + (owner.to(tl.int64) * queries + query) * COUNT
    slot = tl.arange(0, KEPT)[None, :]
    held = live[:, None] & (slot < COUNT)
    held = held & (tl.load(chosen_at[:, None] + slot, mask=held, other=-1) >= 0)
    logs = tl.load(part_lse + part[:, None] + slot * GROUP, mask=held, other=-float("inf"))
    m = tl.max(logs, 1)
    pivot = tl.where(m == -float("inf"), 0.0, m)
    total = tl.sum(tl.exp2(logs - pivot[:, None]), 1)
    acc = tl.zeros([TOKENS * GROUP, DIM], tl.float32)
    for number in range(COUNT):
        mine = live & (tl.load(chosen_at + number, mask=live, other=-1) >= 0)
        log = tl.load(part_lse + part + number * GROUP, mask=mine, other=-float("inf"))
        at = (part + number * GROUP).to(tl.int64)[:, None] * DIM + tl.arange(0, DIM)
        values = tl.load(parts + at, mask=mine[:, None], other=0.0).to(tl.float32)
        acc += tl.exp2(log - pivot)[:, None] * values
    head = owner % kv_heads * GROUP + row % GROUP
    denominator = normaliser(m, total, sinks, head, HAS_SINKS)
    result = acc * tl.exp2(m - denominator)[:, None]
    q_row = (owner // kv_heads * HEADS + head).to(tl.int64) * queries + query
    at = q_row[:, None] * DIM + tl.arange(0, DIM)
    tl.store(out + at, result.to(out.dtype.element_ty), mask=live[:, None])
    tl.store(lse + q_row, denominator * LN2, mask=live)
