"""Rows of any source, as a stream or as a list."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from data.hashing import file_sha256
from data.importing.containers import Located, iter_file
from data.importing.hub import iter_hub, iter_saved
from data.importing.sources import files_of, hub_name, is_saved_dataset, split_of
from data.jsonl import Row
from rewards.errors import InputError


def iter_rows(source: str | Path) -> Iterator[Located]:
    """Rows of a file, a folder, a glob, a saved data set or a data set of the hub, in a fixed order.

    Raises:
        InputError: the source is missing, empty, broken or of an unknown kind.
    """
    count = 0
    for located in _rows(Path(source)):
        count += 1
        yield located
    if not count:
        raise InputError("file is empty", "give a file with at least one row", file=source)


def read_rows(source: str | Path) -> list[Row]:
    """All rows of a source as a list. Raises as ``iter_rows``."""
    return [located.row for located in iter_rows(source)]


def source_sha256(source: Path) -> str:
    """SHA-256 of a file, or of the rows behind any other source."""
    if source.is_file():
        return file_sha256(source)
    digest = hashlib.sha256()
    for located in iter_rows(source):
        digest.update(json.dumps(located.row, sort_keys=True, default=str).encode())
    return digest.hexdigest()


def _rows(source: Path) -> Iterator[Located]:
    folder, split = split_of(source)
    if folder.is_dir() and is_saved_dataset(folder):
        yield from iter_saved(folder, split)
    elif not source.exists() and (hub := hub_name(source)) and not _local_parent(source):
        yield from iter_hub(hub, source)
    else:
        for path in files_of(source):
            yield from iter_file(path)


def _local_parent(source: Path) -> bool:
    """Whether the folder before the name exists, so that the source is a mistyped path."""
    return source.parent.is_dir() and str(source.parent) != "."
