"""A file that appears whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A hidden name beside ``path`` to write to. At the end of the block that file takes the place of ``path``.

    A block that fails, as on a full disk, leaves ``path`` as before and nothing beside it.
    """
    # A rename is atomic within a file system only, so the file grows in the same folder.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
