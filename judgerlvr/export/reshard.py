"""A checkpoint continued on another number of ranks: weights, Adam's state, counters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from judgerlvr.export.errors import ExportMismatch
from judgerlvr.export.layout import Box, held_by
from judgerlvr.export.shards import Piece, load_ranks, pieces
from rewards.wording import counted


@dataclass(frozen=True)
class Trained:
    """What a rank continues with: its FSDP2 model, optimiser and learning-rate schedule."""

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler | None


def load_resharded(folder: Path, trained: Trained, rank: int) -> dict[str, Any]:
    """Fill ``trained`` from the files of a checkpoint's ``actor`` folder that other ranks saved.

    Each rank reads its own part only. Returns the random state that rank ``rank`` continues with. Where fewer ranks
    saved, the saved states are dealt out from 0 again.

    Raises:
        ExportMismatch: a rank's file is missing or damaged, or the files hold other tensors than the model has.
    """
    load_weights(trained.model, load_ranks(folder, "model"), rank)
    trained.optimizer.load_state_dict(optimizer_state(trained.optimizer, load_ranks(folder, "optim"), rank))
    extras = load_ranks(folder, "extra_state")
    if trained.scheduler is not None:
        trained.scheduler.load_state_dict(extras[0]["lr_scheduler"])
    random_state: dict[str, Any] = extras[rank % len(extras)]["rng"]
    return random_state


@torch.no_grad()
def load_weights(model: torch.nn.Module, saved: Sequence[dict[str, Tensor]], rank: int) -> None:
    """Copy this rank's part of each saved tensor into the model; ``saved`` holds each rank's state."""
    own = model.state_dict()
    for state in saved:
        if state.keys() != own.keys():
            raise ExportMismatch(f"model and shards do not both hold {min(state.keys() ^ own.keys())}")
    for name, tensor in own.items():
        local = tensor.to_local() if isinstance(tensor, DTensor) else tensor
        local.copy_(part_for(tensor, [state[name] for state in saved], rank, name))


def optimizer_state(optimizer: torch.optim.Optimizer, saved: Sequence[dict[str, Any]], rank: int) -> dict[str, Any]:
    """A state for ``optimizer.load_state_dict``, with each tensor laid over ranks as its parameter is."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    numbers = [number for group in saved[0]["param_groups"] for number in group["params"]]
    if len(parameters) != len(numbers):
        raise ExportMismatch(f"the optimiser has {counted(len(parameters), 'parameter')}, the shards {len(numbers)}")
    states = [ranks_state["state"] for ranks_state in saved]
    made = {
        number: {
            key: _like(parameter, [state[number][key] for state in states], rank, f"{key} of parameter {number}")
            for key in states[0][number]
        }
        for number, parameter in zip(numbers, parameters, strict=True)
        if number in states[0]
    }
    return {"state": made, "param_groups": saved[0]["param_groups"]}


def _like(parameter: Tensor, values: Sequence[Any], rank: int, name: str) -> Any:
    """Saved values of one quantity as this rank's: sharded ones as the parameter is, step counts as they are."""
    if not isinstance(values[0], DTensor) or not isinstance(parameter, DTensor):
        return values[0].clone() if isinstance(values[0], Tensor) else values[0]
    local = part_for(parameter, values, rank, name).to(parameter.to_local().device)
    mesh, placements = parameter.device_mesh, parameter.placements
    return DTensor.from_local(
        local, mesh, placements, run_check=False, shape=parameter.shape, stride=parameter.stride()
    )


def part_for(own: Tensor, values: Sequence[Tensor], rank: int, name: str) -> Tensor:
    """The part that ``rank`` holds of ``own``, a copy in the saved dtype; ``values`` are the saved ranks' parts."""
    if own.shape != values[0].shape:
        raise ExportMismatch(f"{name} is {tuple(own.shape)} in the model, {tuple(values[0].shape)} in the shards")
    box, _ = held_by(own, rank)
    made = torch.empty(box.lengths, dtype=values[0].dtype)
    for piece in pieces(values, name):
        there = _box(piece)
        common = there.common(box)
        if common.size:
            made[tuple(common.within(box))] = piece.local[tuple(common.within(there))]
    return made


def _box(piece: Piece) -> Box:
    low = tuple(piece.start if dim == piece.dim else 0 for dim in range(piece.local.ndim))
    return Box(low, tuple(start + length for start, length in zip(low, piece.local.shape, strict=True)))
