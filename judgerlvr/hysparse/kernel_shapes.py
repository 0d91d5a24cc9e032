"""Shapes that the Triton kernels take. Kernels, conversion and its plan all ask here. This file imports no torch."""

from __future__ import annotations

BLOCKS = (16, 32, 64, 128)
LEAST_HEAD_DIM = 16


def refusals(group: int, head_dim: int, block: int | None = None) -> list[str]:
    """The parts of a shape that no kernel takes, empty if kernels take all.

    ``group`` counts query heads a KV head. ``block`` counts tokens of a selection block, None where nothing is
    selected.
    """
    sizes = (("group", group), ("head dim", head_dim))
    wrong = [f"{name} {size}" for name, size in sizes if size & (size - 1)]
    wrong += [f"head dim {head_dim} below {LEAST_HEAD_DIM}"] if head_dim < LEAST_HEAD_DIM else []
    wrong += [f"block {block}"] if block is not None and block not in BLOCKS else []
    return wrong


def accepted() -> str:
    """The shapes that kernels take, as an error message's remedy."""
    blocks = ", ".join(map(str, BLOCKS))
    return (
        f"kernels take query heads a KV head in powers of two, head dims in powers of two from {LEAST_HEAD_DIM}, and "
        f"blocks of {blocks} tokens"
    )
