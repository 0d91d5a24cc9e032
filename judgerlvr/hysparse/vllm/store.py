"""Block indices by KV cache slot, in memory that the scheduler and the workers of one engine share.

A slot's indices stand as long as its K and V do, so requests that share cached prefixes, are preempted or prefilled
in chunks read what belongs to the keys that they attend to.
"""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from judgerlvr.hysparse.ops.selection import PADDING

SHARED_MEMORY = Path("/dev/shm")
Indices = NDArray[np.int16]


class IndexStore:
    """int16 [selecting layers, slots, kv_heads, count]; ``name`` is the engine's, and every opener says the same shape.

    Holes in the file cost nothing until written, and read as zeros: indices are stored plus one.
    """

    def __init__(self, name: str, shape: tuple[int, int, int, int]) -> None:
        size = int(np.prod(shape)) * np.dtype(np.int16).itemsize
        self.path = _folder(size) / f"judgerlvr-blocks-{name}"
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(file, size)
            self.rows: Indices = np.frombuffer(mmap.mmap(file, size), dtype=np.int16).reshape(shape)
        finally:
            os.close(file)

    def forget(self) -> None:
        """Remove the name: the memory lives on as long as a process that has opened it."""
        self.path.unlink(missing_ok=True)

    def write(self, layer: int, slots: Tensor, first_head: int, indices: Tensor) -> None:
        """``indices`` [tokens, heads, count] of one layer at ``slots`` [tokens], on the host; -1 is no slot."""
        kept = slots >= 0
        rows = (indices[kept] + 1).to(torch.int16).numpy()
        self.rows[layer, slots[kept].numpy(), first_head : first_head + rows.shape[1]] = rows

    def read(self, layer: int, slots: NDArray[np.int64]) -> Indices:
        """[tokens, kv_heads, count], padded with -1. Raises RuntimeError for a slot that nothing was written to."""
        rows = self.rows[layer, slots]
        missing = int((rows[..., 0] == 0).any(axis=-1).sum())
        if missing:
            raise RuntimeError(f"the rollout has no block indices for {missing} of {len(slots)} tokens")
        found: Indices = rows + np.int16(PADDING)
        return found


def slots_of(blocks: list[int], page: int, tokens: int) -> NDArray[np.int64]:
    """Cache slots of a request's first ``tokens`` tokens."""
    where = np.arange(tokens)
    return np.asarray(blocks, dtype=np.int64)[where // page] * page + where % page


def _folder(size: int) -> Path:
    """Shared memory where it has room, as in a container it may not; a file elsewhere is cached by the system."""
    roomy = SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free > size
    return SHARED_MEMORY if roomy else Path(tempfile.gettempdir())
