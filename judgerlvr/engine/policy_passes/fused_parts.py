"""RMS norms and rotary embedding, each fused into one kernel by torch.compile.

transformers runs a norm as six passes over memory and a rotation as more.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cache
from types import MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

ROTATION = "apply_rotary_pos_emb"


def fuse(model: nn.Module) -> int:
    """Fuse the norms of ``model`` in place, and its architecture's rotation. Returns how many norms were found."""
    plain = [part for part in model.modules() if is_plain_norm(part)]
    fuse_norms(plain)
    fuse_rotation(sys.modules[type(model).__module__])
    return len(plain)


def fuse_norms(norms: Iterable[nn.Module]) -> None:
    for norm in norms:
        norm.forward = MethodType(_fused_norm, norm)


def fuse_rotation(code: ModuleType) -> None:
    """Replace the rotation that an architecture's module defines, if the module defines one."""
    rotate = getattr(code, ROTATION, None)
    if rotate is not None:
        setattr(code, ROTATION, _compiled(getattr(rotate, "__wrapped__", rotate)))


def is_plain_norm(part: nn.Module) -> bool:
    """Whether a module of the same class gives the bits of ``plain_norm``. Some architectures scale differently."""
    if not type(part).__name__.endswith("RMSNorm") or not hasattr(part, "variance_epsilon"):
        return False
    with torch.random.fork_rng(devices=[]), torch.device("cpu"), torch.no_grad():
        try:
            fresh: Any = type(part)(16, eps=0.1)
        except TypeError:
            return False
        fresh.weight.normal_()
        hidden = torch.randn(3, 16, dtype=torch.bfloat16)
        return torch.equal(fresh(hidden), plain_norm(hidden, fresh.weight, 0.1))


def plain_norm(hidden: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """weight * hidden / sqrt(mean(hidden^2) + epsilon), the mean over the last dimension and in float32.

    In the order of operations of transformers' Qwen3RMSNorm.
    """
    wide = hidden.float()
    wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)
    return weight * wide.to(hidden.dtype)


def _fused_norm(norm: Any, hidden: Tensor) -> Tensor:
    found: Tensor = _compiled(plain_norm)(hidden, norm.weight, norm.variance_epsilon)
    return found


@cache
def _compiled(function: Any) -> Any:
    return torch.compile(function, dynamic=True)
