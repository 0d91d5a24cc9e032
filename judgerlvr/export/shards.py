"""verl's FSDP files of one checkpoint, memory-mapped, for any number of ranks."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from judgerlvr.export.errors import ExportMismatch
from rewards.errors import failing, one_line
from rewards.wording import counted

# What each rank saves.
RANK_KINDS = ("model", "optim", "extra_state")
RANK_FILE = re.compile(r"(?P<kind>\w+)_world_size_(?P<world>\d+)_rank_(?P<rank>\d+)\.pt")


def rank_file(folder: Path, kind: str, world: int, rank: int) -> Path:
    """verl's name of a rank's file. ``kind`` is ``model``, ``optim`` or ``extra_state``."""
    return folder / f"{kind}_world_size_{world}_rank_{rank}.pt"


def saved_ranks(folder: Path) -> int:
    """How many ranks saved a checkpoint's ``actor`` folder.

    Raises:
        ExportMismatch: there are no shards, shards of several numbers of ranks, or a rank's file is missing.
    """
    found = [match for path in folder.glob("model_*.pt") if (match := RANK_FILE.fullmatch(path.name))]
    config = folder / "fsdp_config.json"
    # Another number of ranks may have left files here when a save was cut short.
    last = {_world_size(config)} if config.is_file() else None
    # verl writes the number of ranks of the last save into fsdp_config.json.
    worlds = last or {int(match["world"]) for match in found}
    if len(worlds) != 1:
        raise ExportMismatch(f"{folder}: shards of {len(worlds)} numbers of ranks found, 1 needed")
    world = worlds.pop()
    missing = set(range(world)) - {int(match["rank"]) for match in found if int(match["world"]) == world}
    if missing:
        raise ExportMismatch(f"{folder}: shard of rank {min(missing)} of {world} is missing")
    return world


def _world_size(path: Path) -> int:
    try:
        keys = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ExportMismatch(f"{path}: not verl's facts of a save ({error})") from error
    size = keys.get("world_size") if isinstance(keys, dict) else None
    if type(size) is not int or size < 1:
        raise ExportMismatch(f"{path}: world_size is {size!r}")
    return size


def load_ranks(folder: Path, kind: str) -> list[Any]:
    """What each rank saved, in order of ranks. Tensors stay on disk until they are read."""
    world = saved_ranks(folder)
    files = [rank_file(folder, kind, world, rank) for rank in range(world)]
    return [load_mapped(file) for file in files]


def load_mapped(file: Path) -> Any:
    """A file of torch.save, whose tensors are read from the disk when they are used."""
    log = logging.getLogger("torch.distributed.device_mesh")
    level = log.level
    log.setLevel(logging.ERROR)  # It warns that the ranks' mesh has no process groups here.
    try:
        # The optimiser's state and the random state are more than tensors. The files are the run's own.
        with failing(lambda error: f"{file}: no whole file of torch ({one_line(error)})"):
            return torch.load(file, map_location="cpu", mmap=True, weights_only=False)
    finally:
        log.setLevel(level)


@dataclass(frozen=True)
class Piece:
    """A part of a tensor: ``local`` begins at index ``start`` of dimension ``dim`` of the whole."""

    local: Tensor
    dim: int = 0
    start: int = 0


def local_tensor(value: Tensor) -> Tensor:
    """A rank's own part of a saved tensor. No process group is needed."""
    with torch.no_grad():
        return value.to_local() if isinstance(value, DTensor) else value


def pieces(values: Sequence[Tensor], name: str = "tensor") -> list[Piece]:
    """The parts that make up one tensor, in order and without copies; ``values`` holds each rank's value.

    Raises:
        ExportMismatch: the parts are longer or shorter than the whole.
        ValueError: the tensor is sharded over several dimensions of the mesh.
    """
    first = values[0]
    split = [(axis, place.dim) for axis, place in enumerate(placements(first)) if place.is_shard()]
    if not split:
        return [Piece(local_tensor(first))]
    if len(split) > 1:
        raise ValueError(f"{name}: sharded over several mesh dimensions, as by tensor parallelism")
    axis, dim = split[0]
    found, start = [], 0
    for rank in _ranks_along(first, axis):
        local = local_tensor(values[rank])
        found.append(Piece(local, dim, start))
        start += local.shape[dim]
    if start != first.shape[dim]:
        raise ExportMismatch(f"{name}: the ranks hold {start} of {counted(first.shape[dim], 'row')}")
    return found


def placements(value: Tensor) -> Sequence[Any]:
    """How a saved tensor is spread over each mesh dimension; empty where each rank holds all of the tensor."""
    return value.placements if isinstance(value, DTensor) else ()


def _ranks_along(value: Any, axis: int) -> list[int]:
    """Ranks along one mesh dimension; the others hold copies, of which the first is taken."""
    mesh = value.device_mesh.mesh.movedim(axis, 0)
    first: list[int] = mesh.reshape(len(mesh), -1)[:, 0].tolist()
    return first


class Shards:
    """The model's weights in a checkpoint's ``actor`` folder."""

    def __init__(self, folder: Path) -> None:
        """Raises ExportMismatch where ranks are missing or hold other tensors than rank 0."""
        self.states: list[dict[str, Tensor]] = load_ranks(folder, "model")
        self.names = list(self.states[0])
        for rank, state in enumerate(self.states):
            if state.keys() != self.states[0].keys():
                name = min(state.keys() ^ self.states[0].keys())
                raise ExportMismatch(f"{folder}: ranks 0 and {rank} do not both hold {name}")

    def values(self, name: str) -> list[Tensor]:
        """Each rank's value, as saved."""
        return [state[name] for state in self.states]

    def shape(self, name: str) -> torch.Size:
        return self.states[0][name].shape

    def dtype(self, name: str) -> torch.dtype:
        return self.states[0][name].dtype

    def whole(self, name: str, dtype: torch.dtype) -> Tensor:
        """The tensor in ``dtype``: the one copy in memory, or none where one rank holds the tensor so."""
        parts = pieces(self.values(name), name)
        # The mapped file serves as the tensor where nothing has to be joined or rounded.
        if len(parts) == 1 and parts[0].local.dtype == dtype:
            return parts[0].local.detach()
        made = torch.empty(self.shape(name), dtype=dtype)
        for part in parts:
            place = made.narrow(part.dim, part.start, part.local.shape[part.dim]) if len(parts) > 1 else made
            place.copy_(part.local)
        return made
