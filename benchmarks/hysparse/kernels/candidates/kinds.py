"""The kernels of sparse layers behind one interface: their options and their layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from benchmarks.hysparse.kernels.hybrid_block import SparseKernels
from judgerlvr.hysparse.ops.segments import Segments
from judgerlvr.hysparse.ops.triton import attention
from judgerlvr.hysparse.ops.triton.kv_outer import OuterOptions
from judgerlvr.hysparse.ops.triton.kv_outer_backward import BackwardOptions
from judgerlvr.hysparse.ops.triton.overlap import ByOverlap, SharedChoice
from judgerlvr.hysparse.ops.triton.union_tiles import UnionTiles


@dataclass(frozen=True)
class Thresholds:
    """Spreads and queries from which the KV-outer kernels are taken, as ``ByOverlap`` has them."""

    spread: float = ByOverlap().spread
    backward_spread: float = ByOverlap().backward_spread
    queries: int = ByOverlap().queries


@dataclass(frozen=True)
class Layers:
    """Kernels of sparse layers as ``chooser`` picks them."""

    chooser: ByOverlap

    def share(self, indices: Tensor, segments: Segments, block: int, group: int) -> UnionTiles | SharedChoice:
        return self.chooser.share(indices, segments, block, group)

    def sparse_attention(self, *arguments: Any) -> Tensor:
        return attention.sparse_attention(*arguments)


@dataclass(frozen=True)
class Kind:
    """Kernels to compare. ``options`` are the configurations that compete at the first context.

    ``layers`` makes kernels of sparse layers from options and the options of the backward pass. ``backward_alone``: the
    options belong to the backward pass, which is timed without the forward pass.
    """

    name: str
    options: tuple[Any, ...]
    layers: Callable[[Any, BackwardOptions], SparseKernels]
    backward_alone: bool = False


def outer(forward: OuterOptions, backward: BackwardOptions) -> SparseKernels:
    """KV-outer kernels at any overlap and any length."""
    return Layers(ByOverlap(forward, backward, spread=0.0, queries=0))


OUTER, BACKWARD = OuterOptions(), BackwardOptions()
EVERY = (
    Kind("union", (None,), lambda options, backward: attention),
    Kind(
        "outer_backward",
        (BACKWARD, *(dataclasses.replace(BACKWARD, **change) for change in ({"task": 1024}, {"span": 32768}))),
        lambda options, backward: outer(OUTER, options),
        backward_alone=True,
    ),
    Kind(
        "outer",
        (OUTER, *(dataclasses.replace(OUTER, **change) for change in ({"task": 128}, {"programs": 6}))),
        outer,
    ),
    Kind(
        "chosen",
        (Thresholds(),),
        lambda options, backward: Layers(ByOverlap(OUTER, backward, **dataclasses.asdict(options))),
    ),
)
KINDS = {kind.name: kind for kind in EVERY}


def read_options(text: str) -> tuple[str, Any]:
    """Kind and options of a text such as ``outer:rows=128,stages=3``. ValueError names an unreadable text."""
    name, _, entries = text.partition(":")
    if name not in KINDS or KINDS[name].options[0] is None:
        raise ValueError(f"{text!r} is not KIND:NAME=NUMBER,... of {[kind for kind in KINDS if kind != 'union']}")
    options = KINDS[name].options[0]
    for entry in filter(None, entries.split(",")):
        field, _, number = entry.partition("=")
        if not hasattr(options, field):
            raise ValueError(f"{type(options).__name__} has no {field!r}")
        options = dataclasses.replace(options, **{field: float(number) if "." in number else int(number)})
    return name, options


def told(options: Any) -> str:
    """The options in the form that ``read_options`` takes."""
    return "" if options is None else ",".join(f"{name}={value}" for name, value in vars(options).items())
