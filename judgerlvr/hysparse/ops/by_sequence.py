"""An operation over a packed row, run sequence by sequence, because the reference is quadratic in the length of its
input.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from judgerlvr.hysparse.ops.buckets import Buckets
from judgerlvr.hysparse.ops.segments import Segments, whole


def by_sequence(operation: Callable[..., Any], tensors: int = 3) -> Callable[..., Any]:
    """``operation`` with the same arguments, results and gradients, at the cost of the single sequences.

    The first ``tensors`` arguments are [batch, heads, tokens, dim], and the next argument is their Segments. The result
    is a tensor of that kind or several.
    """

    @wraps(operation)
    def run(*arguments: Any) -> Any:
        buckets = packing(arguments[tensors])
        if buckets is None:
            return operation(*arguments)
        return in_buckets(operation, buckets, arguments[:tensors], arguments[tensors + 1 :])

    return run


def packing(segments: Segments) -> Buckets | None:
    """Buckets of one packed row. None if nothing is to regroup: several rows, a cache, or a single sequence.

    A compiled graph gets None too, because its shapes would depend on where sequences begin.
    """
    if segments.offset or len(segments.starts) > 1 or torch.compiler.is_compiling():
        return None
    return segments.buckets if segments.starts.any() else None


def in_buckets(
    operation: Callable[..., Any], buckets: Buckets, tensors: tuple[Tensor, ...], rest: tuple[Any, ...]
) -> Any:
    """Results of ``operation`` on each bucket's part of ``tensors``, joined."""
    parts = zip(*map(buckets.split, tensors), strict=True)
    found = [
        operation(*part, whole(*shape, device=part[0].device), *rest)
        for part, shape in zip(parts, buckets.shapes, strict=True)
    ]
    if isinstance(found[0], Tensor):
        return buckets.join(found)
    return tuple(map(buckets.join, zip(*found, strict=True)))
