"""Writing that a crash cannot leave half done."""

from __future__ import annotations

import os
from pathlib import Path

from data.replacing import replacing


def write_atomically(path: Path, text: str) -> None:
    """Write beside the target, sync, rename. A reader sees the old content or the new content, never a part."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        # A rename may reach the disk before the data, and a crash between would leave an empty file.
        os.fsync(file.fileno())
