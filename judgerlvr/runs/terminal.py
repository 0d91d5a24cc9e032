"""The width of the terminal that a stream writes to."""

from __future__ import annotations

import os
from typing import TextIO

LEAST_WIDTH = 40


def width_of(stream: TextIO) -> int | None:
    """Columns of the stream's terminal, None for a file or a pipe."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return None
    return max(LEAST_WIDTH, columns) if columns else None
