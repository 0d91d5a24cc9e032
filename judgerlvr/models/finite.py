"""Finiteness of a model's weights: a single NaN makes every token of every sample meaningless."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from judgerlvr.models.weights import AGAIN, weight_files
from rewards.errors import InputError, reading

if TYPE_CHECKING:
    from torch import Tensor

# Types of one byte have no minimum in torch.
NARROW = 1


def is_finite(tensor: Tensor) -> bool:
    """Whether no value is NaN or infinite. A single pass, without a copy of the tensor."""
    import torch

    if not tensor.is_floating_point() or tensor.numel() == 0:
        return True
    values = tensor.to(torch.float16) if tensor.itemsize == NARROW else tensor
    # A NaN anywhere makes both bounds NaN.
    return all(bool(torch.isfinite(bound)) for bound in torch.aminmax(values))


def check_finite(directory: Path) -> None:
    """Read all weights of a model directory, one tensor in memory at a time.

    Raises:
        InputError: a weight is NaN or infinite, or a file cannot be read.
    """
    from safetensors import safe_open

    for path in weight_files(directory):
        with reading("no readable weights", AGAIN, file=path), safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  (a safetensors handle is no dict)
                if not is_finite(file.get_tensor(name)):
                    remedy = "give a checkpoint from before the weights went wrong"
                    raise InputError(f"tensor {name} holds a NaN or an infinity", remedy, file=path)


def weight_bytes(directory: Path) -> int:
    """Size of the weight files."""
    return sum(path.stat().st_size for path in weight_files(directory))
