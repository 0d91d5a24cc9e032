"""A checkpoint's shards to safetensors, one tensor in memory at a time, named as transformers would save the model."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from torch import Tensor
from transformers import PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion

from judgerlvr.export.shards import Shards
from judgerlvr.export.tensors import INDEX

# The size at which the hub's library splits a state dict by default.
MAX_FILE = "5GB"
NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


class Writer:
    """Writes one checkpoint's weights in ``dtype``."""

    def __init__(self, shards: Shards, model: PreTrainedModel, dtype: torch.dtype) -> None:
        self.shards, self.model, self.dtype = shards, model, dtype
        # Names that share another's weights are not saved: transformers would not tie them again.
        names, tied = set(shards.names), model.all_tied_weights_keys
        self.sources = [name for name in shards.names if tied.get(name) not in names]
        self.planned = {name: made for source in self.sources for name, made in self._plan(source).items()}

    @property
    def bytes(self) -> int:
        """Size of the tensors on disk."""
        return sum(tensor.numel() * tensor.itemsize for tensor in self.planned.values())

    def write(self, folder: Path) -> None:
        """Fill ``folder`` with safetensors files and, of more than one, their index."""
        split = split_torch_state_dict_into_shards(
            self.planned, filename_pattern="model{suffix}.safetensors", max_shard_size=MAX_FILE
        )
        for file, names in split.filename_to_tensors.items():
            self._write_file(folder / file, names)
        if split.is_sharded:
            index = {"metadata": {"total_size": self.bytes}, "weight_map": split.tensor_to_filename}
            (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")

    def _plan(self, source: str) -> dict[str, Tensor]:
        """Names, shapes and dtypes of what a tensor becomes, without storage."""
        saved = self._saved(source, torch.empty(self.shards.shape(source), dtype=self._dtype(source), device="meta"))
        return {name: torch.empty_like(tensor) for name, tensor in saved.items()}

    def _dtype(self, source: str) -> torch.dtype:
        saved = self.shards.dtype(source)
        return self.dtype if saved.is_floating_point else saved

    def _saved(self, source: str, tensor: Tensor) -> dict[str, Tensor]:
        """The tensor as transformers saves it: experts apart where the architecture's checkpoints have them so."""
        saved: dict[str, Tensor] = revert_weight_conversion(self.model, {source: tensor})
        return saved

    def _write_file(self, path: Path, names: list[str]) -> None:
        """safetensors' layout: the header's length, a JSON header, then the tensors' bytes one behind the other."""
        with path.open("wb") as file:
            header = _header({name: self.planned[name] for name in names})
            file.write(struct.pack("<Q", len(header)) + header)
            for source in self.sources:
                self._write_source(file, source, set(names))
            file.flush()
            # The folder is renamed afterwards, and a rename may reach the disk before the data.
            os.fsync(file.fileno())

    def _write_source(self, file: BinaryIO, source: str, names: set[str]) -> None:
        """Append what a trainer's tensor becomes, of the file's own ``names``, in the planned order."""
        # Tensors of other files are skipped before a byte is read.
        if names.isdisjoint(self._plan(source)):
            return
        for name, tensor in self._saved(source, self.shards.whole(source, self._dtype(source))).items():
            # The experts of a single trainer's tensor may fall into two files.
            if name in names:
                file.write(memoryview(tensor.contiguous().reshape(-1).view(torch.uint8).numpy()))


def _header(tensors: Mapping[str, Tensor]) -> bytes:
    """JSON header of a safetensors file, padded so that the tensors begin at a multiple of 8 bytes."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.numel() * tensor.itemsize
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    # safetensors pads the header with spaces.
    return text + b" " * (-len(text) % 8)
