"""Block indices and experts by KV cache slot, in memory that the scheduler and the workers of one engine share.

The choices of a slot stand as long as its K and V. Requests that share cached prefixes, are preempted or are prefilled
in chunks therefore read the choices of the keys that they attend to.
"""

from __future__ import annotations

import atexit
import fcntl
import mmap
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from judgerlvr.cluster.remains import CHOICES
from judgerlvr.hysparse.ops.selection import PADDING

# Memory first. The system caches files in the second folder.
FOLDERS = (Path("/dev/shm"), Path(tempfile.gettempdir()))
Indices = NDArray[np.int16]
# Rows that are read at once, so that what lies between the store and its reader stays in the processor's cache.
ROWS = 1024


class IndexStore:
    """int16 [selecting layers, slots, kv_heads, count], or [1, slots, MoE layers, top_k]. Every opener of a ``name``
    gives the same shape.

    Values that were never written read as zeros, because indices are stored plus one. Raises OSError if no folder has
    room.
    """

    def __init__(self, name: str, shape: tuple[int, int, int, int]) -> None:
        size = int(np.prod(shape)) * np.dtype(np.int16).itemsize
        self.path = _reserve(f"{CHOICES}{name}", size)
        # An engine that dies before its scheduler removes the name must not leave memory behind.
        atexit.register(self.forget)
        with self.path.open("r+b") as file:
            self.rows: Indices = np.frombuffer(mmap.mmap(file.fileno(), size), dtype=np.int16).reshape(shape)

    def describe(self, what: str) -> str:
        """Size and shape in one line. ``what`` names the contents."""
        product = " x ".join(map(str, self.rows.shape))
        size = f"{self.rows.nbytes / 2**20:.1f} MiB of host memory in {self.path.parent}"
        return f"{what}: {size} ({product} values of {self.rows.itemsize} bytes)"

    def forget(self) -> None:
        """Remove the name. The memory lives on as long as a process that has opened it."""
        self.path.unlink(missing_ok=True)
        _lock(self.path.name).unlink(missing_ok=True)

    def write(self, layer: int, slots: Tensor, first_head: int, indices: Tensor) -> None:
        """``indices`` [tokens, heads, count] of one layer at ``slots`` [tokens], on the host. -1 is no slot."""
        rows, where = indices.to(torch.int16).numpy(), slots.numpy()
        kept = where >= 0
        if not kept.all():
            rows, where = rows[kept], where[kept]
        self.rows[layer, where, first_head : first_head + rows.shape[1]] = rows - np.int16(PADDING)

    def read(self, layer: int, slots: NDArray[np.int64]) -> Indices:
        """[tokens, kv_heads, count], padded with -1. Raises RuntimeError for a slot that was never written."""
        found: Indices = np.empty((len(slots), *self.rows.shape[2:]), dtype=np.int16)
        self.read_into(found, layer, slots)
        return found

    def read_into(self, found: Indices, layer: int, slots: NDArray[np.int64]) -> None:
        """``read`` into memory of the caller, which need not be contiguous. A part of the slots is copied at a time."""
        missing = 0
        for begin in range(0, len(slots), ROWS):
            rows = self.rows[layer, slots[begin : begin + ROWS]]
            missing += int((rows[..., 0] == 0).any(axis=-1).sum())
            np.add(rows, np.int16(PADDING), out=found[begin : begin + ROWS])
        if missing:
            raise RuntimeError(f"the rollout has no choices for {missing} of {len(slots)} tokens")


def slots_of(blocks: list[int], page: int, tokens: int) -> NDArray[np.int64]:
    """Cache slots of a request's first ``tokens`` tokens."""
    where = np.arange(tokens)
    return np.asarray(blocks, dtype=np.int64)[where // page] * page + where % page


def _reserve(name: str, size: int) -> Path:
    """The file. The first process makes the file, and other processes wait until it has its whole length.

    The room is taken at once, because a write past a full memory would kill the process.
    """
    with _lock(name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _find_or_allocate(name, size)


def _lock(name: str) -> Path:
    return Path(tempfile.gettempdir()) / f"{name}.lock"


def _find_or_allocate(name: str, size: int) -> Path:
    folders = [folder for folder in FOLDERS if folder.is_dir()]
    for path in [folder / name for folder in folders]:
        if path.exists():
            return path
    for folder in folders[:-1]:
        try:
            return _allocate(folder / name, size)
        except OSError:  # Shared memory is small in some containers.
            (folder / name).unlink(missing_ok=True)
    return _allocate(folders[-1] / name, size)


def _allocate(path: Path, size: int) -> Path:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(file, 0, size)
    finally:
        os.close(file)
    return path
