"""Texts on disk instead of in memory: appended once, then read in any order."""

from __future__ import annotations

import os
import tempfile
from array import array
from collections.abc import Iterator
from pathlib import Path


class Spool:
    """A temporary file of texts in ``folder``, gone when the object is gone. Memory: 8 bytes a text."""

    def __init__(self, folder: Path | None = None) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder, buffering=1 << 20)  # noqa: SIM115
        self._ends = array("Q", [0])
        self._flushed = True

    def __len__(self) -> int:
        return len(self._ends) - 1

    def append(self, text: str) -> int:
        """Add a text and return its place."""
        content = text.encode("utf-8", "surrogatepass")
        self._file.write(content)
        self._ends.append(self._ends[-1] + len(content))
        self._flushed = False
        return len(self) - 1

    def read(self, place: int) -> str:
        """The text at a place."""
        start, end = self._ends[place], self._ends[place + 1]
        return self._bytes(start, end).decode("utf-8", "surrogatepass")

    def read_all(self, block: int = 1 << 20) -> Iterator[str]:
        """All texts in order, read in blocks of about ``block`` bytes."""
        place = 0
        while place < len(self):
            first, start = place, self._ends[place]
            # A text longer than a block is read by itself.
            while place < len(self) and (place == first or self._ends[place + 1] - start <= block):
                place += 1
            content = self._bytes(start, self._ends[place])
            for inner in range(first, place):
                part = content[self._ends[inner] - start : self._ends[inner + 1] - start]
                yield part.decode("utf-8", "surrogatepass")

    def _bytes(self, start: int, end: int) -> bytes:
        if not self._flushed:
            self._file.flush()
            self._flushed = True
        # pread leaves the file position alone, so that reads and appends can alternate.
        return os.pread(self._file.fileno(), end - start, start)
