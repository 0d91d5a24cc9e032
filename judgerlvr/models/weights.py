"""Weight files of a model directory, checked by their headers: no tensor is read.

A safetensors file begins with the length of its header (8 bytes, little-endian) and the header (JSON).
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from judgerlvr.models.configuration import POINTER, refuse_pointer
from rewards.errors import InputError, reading

INDEX = "model.safetensors.index.json"
LONGEST_HEADER = 100_000_000
AGAIN = "download the checkpoint again"


def check_weights(directory: Path) -> None:
    """Check that every weight file of a model directory is there and whole.

    Raises:
        InputError: a Git LFS pointer, a file cut short, a broken header, or a missing shard.
    """
    # transformers takes a whole file before an index, and vLLM the files of the index.
    for path in sorted({*directory.glob("*.safetensors"), *weight_files(directory)}):
        read_header(path)


def weight_files(directory: Path) -> list[Path]:
    """The files that the index names, all weight files where there is no index.

    Raises:
        InputError: a broken index, or a missing shard.
    """
    index = directory / INDEX
    if not index.exists() and not index.is_symlink():
        return sorted(directory.glob("*.safetensors"))
    # Reading a pipe would wait for a writer.
    if index.exists() and not index.is_file():
        raise InputError("no file", AGAIN, file=index)
    with reading("not an index of weights", AGAIN, file=index):
        refuse_pointer(index.read_bytes(), index)
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        places = [directory / name for name in names]
    for name, place in zip(names, places, strict=True):
        if not place.is_file():
            raise InputError(f"shard {name} is missing", AGAIN, file=directory)
    return places


def read_header(path: Path) -> dict[str, Any]:
    """Header of a safetensors file: dtype, shape and offsets by tensor.

    Raises:
        InputError: not a whole safetensors file.
    """
    # Reading a pipe would wait for a writer.
    if path.exists() and not path.is_file():
        raise InputError("no file", AGAIN, file=path)
    from safetensors import safe_open

    with reading("no readable safetensors header", AGAIN, file=path), path.open("rb") as file:
        start = file.read(len(POINTER))
        refuse_pointer(start, path)
        (length,) = struct.unpack("<Q", start[:8])
        if length > LONGEST_HEADER:
            raise ValueError(f"a header of {length} bytes")
        file.seek(8)
        header: dict[str, Any] = json.loads(file.read(length))
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        end = 8 + length + max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
    size = path.stat().st_size
    if size != end:
        raise InputError(f"holds {size} bytes, its header says {end}", AGAIN, file=path)
    with reading("no readable safetensors header", AGAIN, file=path), safe_open(path, framework="numpy"):
        # Opening checks types, shapes and offsets, and reads no tensor.
        return tensors
