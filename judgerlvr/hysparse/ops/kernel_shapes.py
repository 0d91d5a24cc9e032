"""Shapes and memory of the Triton kernels. Kernels, conversion and both plans ask here. This file imports no torch."""

from __future__ import annotations

BLOCKS = (16, 32, 64, 128)
LEAST_HEAD_DIM = 16
# Tests compile groups of 1 to 16 and head dims up to 128, on GPUs too. Nothing wider was ever compiled.
MOST_GROUP, MOST_HEAD_DIM = 16, 128
# KV-outer kernels: the fewest queries of a row, most MiB of rows that pairs write, and pairs of a backward task.
OUTER_QUERIES, OUTER_MEGABYTES, OUTER_TASK = 8192, 1024, 512
# Most queries of a backward span, which a launch treats at once. A forward span is shorter.
OUTER_SPAN = 16384
# Bytes that lists, tiles and tables hold for a pair.
PAIR_BYTES = 16
HALF_BYTES, FLOAT_BYTES = 2, 4
# A prefill in vLLM keeps copies of this many keys. Beside the copies it holds block maxima or KV-outer scratch (9/8 GiB
# at most), and 1/2 GiB of smaller things.
PREFILL_KEYS, PREFILL_BYTES = 1 << 18, 13 << 27


def refusals(group: int, head_dim: int, block: int | None = None) -> list[str]:
    """The parts of a shape that no kernel takes, empty if kernels take all.

    ``group`` counts query heads a KV head. ``block`` counts tokens of a selection block, None where nothing is
    selected.
    """
    sizes = (("group", group, MOST_GROUP), ("head dim", head_dim, MOST_HEAD_DIM))
    wrong = [f"{name} {size}" for name, size, _ in sizes if size < 1 or size & (size - 1)]
    wrong += [f"{name} {size} above {most}, the largest that was compiled" for name, size, most in sizes if size > most]
    wrong += [f"head dim {head_dim} below {LEAST_HEAD_DIM}"] if head_dim < LEAST_HEAD_DIM else []
    wrong += [f"block {block}"] if block is not None and block not in BLOCKS else []
    return wrong


def accepted() -> str:
    """The shapes that kernels take, as an error message's remedy."""
    blocks = ", ".join(map(str, BLOCKS))
    return (
        f"kernels take query heads a KV head in powers of two up to {MOST_GROUP}, head dims in powers of two from "
        f"{LEAST_HEAD_DIM} to {MOST_HEAD_DIM}, and blocks of {blocks} tokens"
    )


def sparse_scratch(queries: int, count: int, block: int, group: int, kv_heads: int, head_dim: int, grad: bool) -> int:
    """Most bytes that KV-outer kernels of a sparse layer hold, in half precision. 0 for rows that keep union tiles.

    ``queries`` of a row choose ``count`` blocks of ``block`` tokens each. ``grad``: the backward pass, else the
    forward pass. A pair is a query and one of its blocks, for one KV head, and has a row for each head of the group.
    """
    if queries < OUTER_QUERIES or count < 1:
        return 0
    pairs = queries * count * kv_heads
    at_once = pairs * min(queries, OUTER_SPAN) // queries
    rows = min(OUTER_MEGABYTES << 20, at_once * group * head_dim * HALF_BYTES)
    # Gradients of the keys and values of a task's block, or a log normaliser for each row.
    further = FLOAT_BYTES * block / (OUTER_TASK * group) if grad else FLOAT_BYTES / HALF_BYTES / head_dim
    return int(rows * (1 + further)) + PAIR_BYTES * pairs


def prefill_reserve(longest: int, kv_heads: int, head_dim: int, item: int = HALF_BYTES) -> int:
    """Bytes that a GPU's vLLM sets aside for a prefill of requests up to ``longest`` tokens.

    ``item``: bytes of an element of keys and values.
    """
    # A request longer than the kept copies of a step is still copied, alone.
    return 2 * max(PREFILL_KEYS, longest) * kv_heads * head_dim * item + PREFILL_BYTES
