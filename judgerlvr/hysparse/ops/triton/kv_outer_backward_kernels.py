"""Kernels of the backward pass that owns key blocks: gradients of keys and values, and parts of the queries'."""

# Kernel arguments are pointers and scalars that Triton types itself.
# ruff: noqa: ANN001, ANN201
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

from judgerlvr.hysparse.ops.triton.range_kernels import score_gradient


@triton.jit
def add_rows(target, base, begin, last, values, DIM: tl.constexpr, BLOCK: tl.constexpr):
    """Add a block's rows to ``target`` without atomics. Rows after key ``last`` may belong to another sequence."""
    cols = begin + tl.arange(0, BLOCK)
    at = target + base + cols[:, None] * DIM + tl.arange(0, DIM)
    held = (cols <= last)[:, None]
    tl.store(at, tl.load(at, mask=held, other=0.0) + values, mask=held)


@triton.jit(do_not_specialize=["low", "high", "begin_query", "first_owner"])
def outer_backward_kernel(
    q, grads, keys_of, values_of, lse, delta, entries, firsts, sizes, begins, owners, slots, bounds, slot_bounds,
    parts, grad_k, grad_v, more_k, more_v,
    low, high, begin_query, first_owner, span, queries, keys, offset, scale,
    HEADS: tl.constexpr, GROUP: tl.constexpr, DIM: tl.constexpr, COUNT: tl.constexpr, BLOCK: tl.constexpr,
    READERS: tl.constexpr,
):  # fmt: skip
    """Tasks of the sections from ``low`` to ``high``: gradients of keys and values, and parts of the queries' gradient.

    A block's first task adds to ``grad_k`` and ``grad_v`` [batch, kv_heads, keys, dim] float32. Each further task
    writes its slot of ``more_k`` and ``more_v``. ``parts`` [owners, span * COUNT, GROUP, DIM] is indexed by entry.
    """
    kv_heads: tl.constexpr = HEADS // GROUP
    row = tl.arange(0, READERS * GROUP)
    reader = row // GROUP
    member = row % GROUP
    dims = tl.arange(0, DIM)
    slot_base = tl.load(slot_bounds + low)
    # With more programs than tasks, the hardware balances tasks of different sizes.
    for task in range(tl.load(bounds + low) + tl.program_id(0), tl.load(bounds + high), tl.num_programs(0)):
        first = tl.load(firsts + task)
        size = tl.load(sizes + task)
        begin = tl.load(begins + task)
        owner = tl.load(owners + task)
        slot = tl.load(slots + task)
        # Readers ascend, so the last reader sees the most keys.
        last = offset + begin_query + tl.load(entries + first + size - 1) // COUNT
        head_row = (owner // kv_heads * HEADS + owner % kv_heads * GROUP).to(tl.int64) * queries + begin_query
        q_base = q + head_row * DIM
        grad_base = grads + head_row * DIM
        part_base = (owner - first_owner).to(tl.int64) * span * COUNT * GROUP * DIM
        k_tile = keys_of.load([owner * keys + begin, 0])
        v_tile = values_of.load([owner * keys + begin, 0])
        sum_k = tl.zeros([BLOCK, DIM], tl.float32)
        sum_v = tl.zeros([BLOCK, DIM], tl.float32)
        for done in range(0, size, READERS):
            live = done + reader < size
            entry = tl.load(entries + first + done + reader, mask=live, other=0)
            q_row = member * queries + entry // COUNT
            at = q_row[:, None] * DIM + dims
            # Rows after the last reader hold the span's first query, and see no key. Masks here would spill.
            q_tile = tl.load(q_base + at)
            do_tile = tl.load(grad_base + at)
            row_lse = tl.load(lse + head_row + q_row)
            row_delta = tl.load(delta + head_row + q_row)
            own = tl.where(live, offset + begin_query - begin + entry // COUNT, -1)
            scores = tl.dot(q_tile, k_tile.T, input_precision="ieee")
            seen = tl.arange(0, BLOCK) <= own[:, None]
            weights, grad = score_gradient(scores, seen, scale, row_lse, row_delta, v_tile, do_tile)
            sum_v = tl.dot(weights.to(do_tile.dtype).T, do_tile, sum_v, input_precision="ieee")
            narrow = grad.to(q_tile.dtype)
            sum_k = tl.dot(narrow.T, q_tile, sum_k, input_precision="ieee")
            part = tl.dot(narrow, k_tile, input_precision="ieee")
            place = parts + part_base + ((entry * GROUP + member)[:, None] * DIM + dims)
            tl.store(place, part.to(parts.dtype.element_ty), mask=live[:, None])
        if slot < 0:
            base = owner.to(tl.int64) * keys * DIM
            add_rows(grad_k, base, begin, last, sum_k * scale, DIM, BLOCK)
            add_rows(grad_v, base, begin, last, sum_v, DIM, BLOCK)
        else:
            to = (slot - slot_base).to(tl.int64) * BLOCK * DIM + (tl.arange(0, BLOCK)[:, None] * DIM + dims)
            tl.store(more_k + to, sum_k * scale)
            tl.store(more_v + to, sum_v)


@triton.jit(do_not_specialize=["low", "high", "begin_query"])
def add_tasks_kernel(
    entries, firsts, sizes, begins, owners, followers, slot_bounds, grad_k, grad_v, more_k, more_v,
    low, high, begin_query, keys, offset,
    DIM: tl.constexpr, COUNT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Add a block's further tasks to its gradients in ascending order. The program of the first of them does all."""
    slot_base = tl.load(slot_bounds + low)
    end = tl.load(slot_bounds + high)
    slot = slot_base + tl.program_id(0)
    task = tl.load(followers + slot, mask=slot < end, other=-1)
    if task >= 0:
        stop = slot + 1
        while tl.load(followers + stop, mask=stop < end, other=0) < 0:
            stop += 1
        final = task + stop - slot - 1
        last = offset + begin_query + tl.load(entries + tl.load(firsts + final) + tl.load(sizes + final) - 1) // COUNT
        within = tl.arange(0, BLOCK)[:, None] * DIM + tl.arange(0, DIM)
        sum_k = tl.zeros([BLOCK, DIM], tl.float32)
        sum_v = tl.zeros([BLOCK, DIM], tl.float32)
        for number in range(slot, stop):
            at = (number - slot_base).to(tl.int64) * BLOCK * DIM + within
            sum_k += tl.load(more_k + at)
            sum_v += tl.load(more_v + at)
        base = tl.load(owners + task).to(tl.int64) * keys * DIM
        begin = tl.load(begins + task)
        add_rows(grad_k, base, begin, last, sum_k, DIM, BLOCK)
        add_rows(grad_v, base, begin, last, sum_v, DIM, BLOCK)


@triton.jit(do_not_specialize=["begin_query", "first_owner"])
def sum_parts_kernel(
    parts, indices, grad_q, begin_query, first_owner, span, queries, scale,
    HEADS: tl.constexpr, GROUP: tl.constexpr, DIM: tl.constexpr, COUNT: tl.constexpr, TOKENS: tl.constexpr,
):  # fmt: skip
    """Gradient of TOKENS queries: the sum of their parts over slots in ascending order, times ``scale``."""
    kv_heads: tl.constexpr = HEADS // GROUP
    owner = first_owner + tl.program_id(1)
    row = tl.arange(0, TOKENS * GROUP)
    local = tl.program_id(0) * TOKENS + row // GROUP
    query = begin_query + local
    live = (local < span) & (query < queries)
    base = parts + tl.program_id(1).to(tl.int64) * span * COUNT * GROUP * DIM
    chosen_at = indices + (owner.to(tl.int64) * queries + query) * COUNT
    acc = tl.zeros([TOKENS * GROUP, DIM], tl.float32)
    for slot in range(COUNT):
        mine = live & (tl.load(chosen_at + slot, mask=live, other=-1) >= 0)
        at = ((local * COUNT + slot) * GROUP + row % GROUP)[:, None] * DIM + tl.arange(0, DIM)
        acc += tl.load(base + at, mask=mine[:, None], other=0.0).to(tl.float32)
    q_row = (owner // kv_heads * HEADS + owner % kv_heads * GROUP + row % GROUP).to(tl.int64) * queries + query
    to = grad_q + q_row[:, None] * DIM + tl.arange(0, DIM)
    tl.store(to, (acc * scale).to(grad_q.dtype.element_ty), mask=live[:, None])
