"""Weight files of a model directory, checked by their headers: no tensor is read.

A safetensors file begins with the length of its header (8 bytes, little-endian) and the header (JSON).
"""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

from judgerlvr.models.configuration import POINTER, refuse_pointer
from rewards.errors import InputError, reading

# transformers' names of a whole file, of the index of several files, and of an adapter's configuration.
WHOLE, INDEX, ADAPTER = "model.safetensors", "model.safetensors.index.json", "adapter_config.json"
LONGEST_HEADER = 100_000_000
AGAIN = "download the checkpoint again"


def check_weights(directory: Path) -> None:
    """Check that every weight file of a model directory is whole, and that all of them are one set.

    Raises:
        InputError: a Git LFS pointer, a file cut short, a broken header, or as ``weight_files``.
    """
    for path in weight_files(directory):
        read_header(path)


def refuse_adapter(directory: Path) -> None:
    """Raise an InputError for the configuration of an adapter, such as LoRA, with which transformers would load one."""
    if os.path.lexists(path := directory / ADAPTER):
        raise InputError(
            "an adapter's, not a whole model's", "merge the adapter first, or move it elsewhere", file=path
        )


def weight_files(directory: Path) -> list[Path]:
    """The weight files of a model directory, the same for transformers and for vLLM.

    transformers reads the whole file, or the files of the index if there is no whole file. vLLM reads the files of the
    index, or all weight files if there is no index.

    Raises:
        InputError: a broken index, a missing shard, no file for transformers, or a weight file that one of both leaves.
    """
    whole, index = directory / WHOLE, directory / INDEX
    named = _indexed(index) if os.path.lexists(index) else None
    if named is None and not os.path.lexists(whole):
        raise InputError(f"no {WHOLE} and no {INDEX}", AGAIN, file=directory)
    read = [whole] if named is None or whole.is_file() else named
    # A shell's pattern, and so vLLM's, passes over hidden files.
    there = {path for path in directory.glob("*.safetensors") if not path.name.startswith(".")}
    if unread := sorted((there | set(named or ())) - set(read)):
        problem = f"two sets of weights: {read[0].name} is read, and {unread[0].name} is not"
        raise InputError(problem, "leave the set that is meant there, and move the other elsewhere", file=directory)
    return read


def _indexed(index: Path) -> list[Path]:
    """The files of an index. Raises as ``weight_files``."""
    # Reading a pipe would wait for a writer.
    if index.exists() and not index.is_file():
        raise InputError("no file", AGAIN, file=index)
    with reading("not an index of weights", AGAIN, file=index):
        refuse_pointer(index.read_bytes(), index)
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        # vLLM looks for shards beside the index only.
        if not names or any(Path(name).name != name for name in names):
            raise ValueError("the names of shards are not those of files beside the index")
    places = [index.parent / name for name in names]
    if missing := [place.name for place in places if not place.is_file()]:
        raise InputError(f"shard {missing[0]} is missing", AGAIN, file=index.parent)
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
