"""Kernels that turn a selection round: count the readers of each block, then place each reader in its block's list."""

# Kernel arguments are pointers and scalars that Triton types itself.
# ruff: noqa: ANN001, ANN201
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def located(
    indices, starts, total, queries, keys, block, span, pairs,
    KV_HEADS: tl.constexpr, COUNT: tl.constexpr, STEP: tl.constexpr,
):  # fmt: skip
    """STEP indices: place, held or padding, query, owner, first key of the block, and bucket of span, owner and key."""
    place = tl.program_id(0) * STEP + tl.arange(0, STEP)
    index = tl.load(indices + place, mask=place < total, other=-1)
    held = index >= 0
    query = place // COUNT % queries
    owner = place // COUNT // queries
    start = tl.load(starts + owner // KV_HEADS * queries + query, mask=held, other=0).to(tl.int32)
    begin = start + index * block
    bucket = (query // span * pairs + owner).to(tl.int64) * keys + begin
    return place, held, query, owner, begin, bucket


@triton.jit
def count_kernel(
    indices, starts, counts, ranks, total, queries, keys, block, span, pairs,
    KV_HEADS: tl.constexpr, COUNT: tl.constexpr, STEP: tl.constexpr,
):  # fmt: skip
    """Number of pairs in each bucket, zero beforehand, and each pair's rank in its bucket."""
    place, held, _query, _owner, _begin, bucket = located(
        indices, starts, total, queries, keys, block, span, pairs, KV_HEADS, COUNT, STEP
    )
    rank = tl.atomic_add(counts + bucket, 1, mask=held, sem="relaxed")
    tl.store(ranks + place, rank, mask=held)


@triton.jit
def fill_kernel(
    indices, starts, counts, ranks, ends, task_ends, entries, firsts, sizes, begins, owners,
    total, queries, keys, block, span, pairs, most,
    KV_HEADS: tl.constexpr, COUNT: tl.constexpr, STEP: tl.constexpr,
):  # fmt: skip
    """Place each pair by its rank. The first of each ``most`` pairs of a bucket writes the task."""
    place, held, query, owner, begin, bucket = located(
        indices, starts, total, queries, keys, block, span, pairs, KV_HEADS, COUNT, STEP
    )
    rank = tl.load(ranks + place, mask=held, other=0)
    readers = tl.load(counts + bucket, mask=held, other=0)
    at = tl.load(ends + bucket, mask=held, other=0) - readers + rank
    tl.store(entries + at, query % span * COUNT + place % COUNT, mask=held)
    task = tl.load(task_ends + bucket, mask=held, other=0) - (readers + most - 1) // most + rank // most
    opens = held & (rank % most == 0)
    tl.store(firsts + task, at, mask=opens)
    tl.store(sizes + task, tl.minimum(readers - rank, most), mask=opens)
    tl.store(begins + task, begin, mask=opens)
    tl.store(owners + task, owner, mask=opens)


@triton.jit
def slot_kernel(
    indices, starts, counts, ranks, task_ends, slot_ends, slots, followers,
    total, queries, keys, block, span, pairs, most,
    KV_HEADS: tl.constexpr, COUNT: tl.constexpr, STEP: tl.constexpr,
):  # fmt: skip
    """Slot of each task: -1 for a bucket's first task, and the next free slot for each further task."""
    place, held, _query, _owner, _begin, bucket = located(
        indices, starts, total, queries, keys, block, span, pairs, KV_HEADS, COUNT, STEP
    )
    rank = tl.load(ranks + place, mask=held, other=1)
    tasks = (tl.load(counts + bucket, mask=held, other=0) + most - 1) // most
    number = rank // most
    opens = held & (rank % most == 0)
    task = tl.load(task_ends + bucket, mask=held, other=0) - tasks + number
    slot = tl.load(slot_ends + bucket, mask=held, other=0) - tasks + number
    tl.store(slots + task, tl.where(number == 0, -1, slot), mask=opens)
    tl.store(followers + slot, tl.where(number == 1, task, -1), mask=opens & (number > 0))
