"""RMS norms and rotary embedding, each fused into one kernel a pass by torch.compile.

transformers runs a norm as six passes over memory and a rotation as more. Both passes of a fused part are written out.
What a part keeps for its backward pass is then its inputs, whether compiled or not. torch stops to compile a function
that has had too many variants, perhaps between a layer and the layer's recomputation. Recomputation fails where the
two do not keep the same tensors.
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


def fuse_rotation(code: ModuleType) -> bool:
    """Replace the rotation that an architecture's module defines, if it gives the bits of ``plain_rotation``."""
    rotate = getattr(code, ROTATION, None)
    found = rotate is not None and is_plain_rotation(rotate)
    if found:
        setattr(code, ROTATION, _fused_rotation)
    return found


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


def is_plain_rotation(rotate: Any) -> bool:
    """Whether a rotation gives the bits of ``plain_rotation``. Some architectures rotate a part, or neighbours."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"), torch.no_grad():
        query, key, cos, sin = (torch.randn(1, *size, 8).bfloat16() for size in ((3, 5), (2, 5), (5,), (5,)))
        try:
            found = rotate(query, key, cos, sin)
        except (TypeError, RuntimeError):
            return False
        return all(map(torch.equal, found, plain_rotation(query, key, cos, sin)))


def plain_norm(hidden: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """weight * hidden / sqrt(mean(hidden^2) + epsilon), the mean over the last dimension and in float32.

    In the order of operations of transformers' Qwen3RMSNorm.
    """
    wide = hidden.float()
    wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)
    return weight * wide.to(hidden.dtype)


def norm_gradient(of_output: Tensor, hidden: Tensor, weight: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Gradients of ``plain_norm``: of ``hidden`` [rows, size] and of ``weight`` [size], each in its own dtype."""
    wide = hidden.float()
    scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)
    wide = wide * scale
    of_wide = (of_output * weight).to(hidden.dtype).float()
    of_hidden = scale * (of_wide - wide * (of_wide * wide).mean(-1, keepdim=True))
    of_weight = (of_output.float() * wide.to(hidden.dtype).float()).sum(0)
    return of_hidden.to(hidden.dtype), of_weight.to(weight.dtype)


def plain_rotation(query: Tensor, key: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    """x cos + (-x2, x1) sin, with x1 and x2 the halves of a head.

    ``query`` [1, heads, tokens, dim], ``key`` [1, kv_heads, tokens, dim], ``cos`` and ``sin`` [1, tokens, dim].
    """
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    return query * cos + _quarter_turn(query) * sin, key * cos + _quarter_turn(key) * sin


def rotation_gradient(of_query: Tensor, of_key: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of ``plain_rotation``. A rotation is linear, so neither query nor key is needed."""
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    return of_query * cos - _quarter_turn(of_query * sin), of_key * cos - _quarter_turn(of_key * sin)


def _quarter_turn(heads: Tensor) -> Tensor:
    first, second = heads.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        ctx.save_for_backward(hidden, weight)
        ctx.epsilon = epsilon
        # Rows of one size and no gradients: one compiled variant serves hidden states, queries and keys.
        found: Tensor = _compiled(plain_norm)(_rows(hidden), weight.detach(), epsilon)
        return found.view(hidden.shape)

    @staticmethod
    def backward(ctx: Any, of_output: Tensor) -> tuple[Tensor, Tensor, None]:
        hidden, weight = ctx.saved_tensors
        of_hidden, of_weight = _compiled(norm_gradient)(_rows(of_output), _rows(hidden), weight.detach(), ctx.epsilon)
        return of_hidden.view(hidden.shape), of_weight, None


class _Rotation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(cos, sin)
        turned: tuple[Tensor, Tensor] = _compiled(plain_rotation)(query.detach(), key.detach(), cos, sin)
        return turned

    @staticmethod
    def backward(ctx: Any, of_query: Tensor, of_key: Tensor) -> tuple[Tensor | None, ...]:
        of_inputs: tuple[Tensor, Tensor] = _compiled(rotation_gradient)(of_query, of_key, *ctx.saved_tensors)
        return *of_inputs, None, None


def _rows(tensor: Tensor) -> Tensor:
    return tensor.detach().reshape(-1, tensor.shape[-1])


def _fused_norm(norm: Any, hidden: Tensor) -> Tensor:
    found: Tensor = _Norm.apply(hidden, norm.weight, norm.variance_epsilon)
    return found


def _fused_rotation(query: Tensor, key: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    turned: tuple[Tensor, Tensor] = _Rotation.apply(query, key, cos, sin)
    return turned


@cache
def _compiled(function: Any) -> Any:
    return torch.compile(function, dynamic=True)
