"""Finiteness of a checkpoint's weights, told before the checkpoint is sealed."""

from __future__ import annotations

from pathlib import Path

from judgerlvr.export.shards import Shards, local_tensor
from judgerlvr.models.finite import is_finite


def first_not_finite(folder: Path) -> str | None:
    """Name of the first tensor with a NaN or an infinity in a checkpoint's ``actor`` folder, None where all are finite.

    The shards are mapped, so that memory holds a single tensor at a time.

    Raises:
        ExportMismatch: shards are missing or damaged.
    """
    shards = Shards(folder)
    for name in shards.names:
        for value in shards.values(name):
            if not is_finite(local_tensor(value)):
                return name
    return None
