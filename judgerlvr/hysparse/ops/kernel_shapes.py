"""Shapes that the Triton kernels take. Kernels, conversion and its plan all ask here. This file imports no torch."""

from __future__ import annotations

BLOCKS = (16, 32, 64, 128)
LEAST_HEAD_DIM = 16
# Tests compile groups of 1 to 16 and head dims up to 128, on GPUs too. Nothing wider was ever compiled.
MOST_GROUP, MOST_HEAD_DIM = 16, 128


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
