"""The safetensors files of a model directory, read by tensor."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from judgerlvr.export.errors import ExportMismatch

INDEX = "model.safetensors.index.json"


class Tensors:
    """Names of a directory's tensors, and parts of each, read when asked for."""

    def __init__(self, folder: Path) -> None:
        """Raises ExportMismatch where two files hold one name, or the index names other files."""
        self._files: dict[str, Any] = {}
        where: dict[str, str] = {}
        for path in sorted(folder.glob("*.safetensors")):
            file: Any = safe_open(str(path), framework="pt")
            for name in file.keys():  # noqa: SIM118  (a safetensors handle is no dict)
                if name in where:
                    raise ExportMismatch(f"{folder}: {where[name]} and {path.name} both hold {name}")
                where[name], self._files[name] = path.name, file
        index = folder / INDEX
        if index.is_file() and json.loads(index.read_text(encoding="utf-8"))["weight_map"] != where:
            raise ExportMismatch(f"{index}: does not name the files of the tensors")

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._files[name].get_slice(name).get_shape())

    def part(self, name: str, where: Sequence[slice]) -> Tensor:
        """A copy of a part; ``where`` has one slice a dimension."""
        file = self._files[name]
        whole: Tensor = file.get_slice(name)[tuple(where)] if where else file.get_tensor(name)
        return whole
