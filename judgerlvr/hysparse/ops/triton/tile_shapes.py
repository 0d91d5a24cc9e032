"""Tile shapes and launch options of the kernels on Hopper, and tensor descriptors of their operands.

The table is fixed, so a run never tunes. JUDGERLVR_HYSPARSE_TILES replaces entries, and the benchmark compares
``CANDIDATES``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

TILES_VARIABLE = "JUDGERLVR_HYSPARSE_TILES"


@dataclass(frozen=True)
class Tiles:
    """Queries (rows) and keys (cols) of a tile, warps of a program, stages of its software pipeline.

    A 0 is derived. Kernels over selected blocks read a block at a time. Their rows follow from the forward kernel's
    (queries x heads), with a warp for 16 rows. ``select`` counts tokens, and scores that a thread holds.
    ``select_sorted`` and ``decode_select`` count tokens, and the blocks of a step.
    """

    rows: int
    cols: int
    warps: int
    stages: int

    @property
    def options(self) -> dict[str, int]:
        """Keyword arguments of a launch."""
        return {"num_warps": self.warps, "num_stages": self.stages}

    def __str__(self) -> str:
        return "x".join(str(size) for size in (self.rows, self.cols, self.warps, self.stages))


# The first of each is the default. It was the fastest on an H100. Forward and sparse forward were the fastest on an
# H200 too.
CANDIDATES = {
    "forward": (Tiles(128, 64, 8, 3), Tiles(128, 128, 8, 2), Tiles(128, 64, 8, 4), Tiles(64, 64, 4, 3)),
    "window": (Tiles(64, 64, 4, 3), Tiles(128, 64, 8, 2), Tiles(64, 64, 4, 2)),
    "backward_q": (Tiles(64, 64, 4, 2), Tiles(128, 64, 8, 2), Tiles(128, 64, 8, 3), Tiles(128, 128, 8, 1)),
    "backward_kv": (Tiles(64, 64, 4, 2), Tiles(128, 64, 8, 2), Tiles(64, 64, 8, 2), Tiles(64, 128, 8, 2)),
    "sparse_forward": (Tiles(64, 0, 0, 3), Tiles(64, 0, 0, 2), Tiles(128, 0, 0, 3), Tiles(128, 0, 0, 2)),
    "sparse_backward_q": (Tiles(0, 0, 0, 2), Tiles(0, 0, 0, 3)),
    "sparse_backward_kv": (Tiles(0, 0, 0, 2), Tiles(0, 0, 0, 1), Tiles(0, 0, 0, 3)),
    "decode": (Tiles(0, 0, 4, 3), Tiles(0, 0, 4, 4), Tiles(0, 0, 2, 3)),
    # One query a row: the blocks of a step lie across the threads.
    "decode_select": (Tiles(1, 512, 4, 1), Tiles(1, 256, 2, 1)),
    "select": (Tiles(16, 32, 0, 1), Tiles(8, 32, 0, 1), Tiles(16, 16, 0, 1), Tiles(8, 64, 0, 1)),
    "select_sorted": (Tiles(32, 16, 1, 1),),
}
TABLE = {kernel: candidates[0] for kernel, candidates in CANDIDATES.items()}


def read_tiles(text: str) -> dict[str, Tiles]:
    """Entries such as ``forward=128x64x8x3,sparse_forward=0x0x4x2``. ValueError names an unreadable entry."""
    found = {}
    for entry in filter(None, text.split(",")):
        kernel, _, sizes = entry.partition("=")
        numbers = [int(size) for size in sizes.split("x") if size.isdigit()]
        if kernel not in CANDIDATES or len(numbers) != 4:
            raise ValueError(f"{TILES_VARIABLE}: {entry!r} is not KERNEL=ROWSxCOLSxWARPSxSTAGES of {list(CANDIDATES)}")
        found[kernel] = Tiles(*numbers)
    return found


TABLE |= read_tiles(os.environ.get(TILES_VARIABLE, ""))


def fitted(kernel: str, dim: int, itemsize: int) -> Tiles:
    """The kernel's tiles, made smaller if head dim or element size would overflow shared memory or registers."""
    tiles = TABLE[kernel]
    excess = max(1, dim * itemsize // 256)
    rows, cols = (max(min(size, 16), size // excess) for size in (tiles.rows, tiles.cols))
    return Tiles(rows, cols, tiles.warps if excess == 1 else 4, tiles.stages if excess == 1 else 1)


def union_options(kernel: str, rows: int, dim: int, itemsize: int) -> dict[str, int]:
    """Launch options of a kernel over union tiles of ``rows`` queries x heads."""
    stages = TABLE[kernel].stages if dim * itemsize <= 256 else 1
    return {"num_warps": 4 if rows <= 64 else 8, "num_stages": stages}


def rows_of(tensor: Tensor, rows: int) -> TensorDescriptor:
    """Descriptor of a contiguous [..., tokens, dim] tensor as one list of tokens, read ``rows`` at a time."""
    flat = tensor.view(-1, tensor.shape[-1])
    return TensorDescriptor.from_tensor(flat, [rows, tensor.shape[-1]])


def tiles_of(tensor: Tensor, group: int, width: int) -> TensorDescriptor:
    """Descriptor of a contiguous [batch, heads, tokens, dim] tensor, read ``group`` heads x ``width`` tokens a time."""
    flat = tensor.view(-1, *tensor.shape[2:])
    return TensorDescriptor.from_tensor(flat, [group, width, tensor.shape[-1]])


def shape_of(q: Tensor, k: Tensor) -> dict[str, int]:
    """Compile-time constants that every kernel takes."""
    return {"HEADS": q.shape[1], "GROUP": q.shape[1] // k.shape[1], "DIM": q.shape[-1]}


def dense(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Contiguous tensors, as the kernels index them."""
    return tuple(tensor.contiguous() for tensor in tensors)
