"""The kernels of sparse layers behind one interface: their options, their layers, and what a pass costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.hysparse.kernels.case import Case
from benchmarks.hysparse.kernels.hybrid_block import SparseKernels
from judgerlvr.hysparse.ops.triton import attention
from judgerlvr.hysparse.ops.triton.kv_outer import OuterOptions
from judgerlvr.hysparse.ops.triton.kv_outer_backward import BackwardOptions
from judgerlvr.hysparse.ops.triton.overlap import ByOverlap, SharedChoice
from judgerlvr.hysparse.ops.triton.reader_lists import ReaderLists
from judgerlvr.hysparse.ops.triton.union_tiles import UnionTiles
from judgerlvr.hysparse.segments import Segments


@dataclass(frozen=True)
class Thresholds:
    """Spread and queries from which the KV-outer kernels are taken, as ``ByOverlap`` has them."""

    spread: float = ByOverlap().spread
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
        lambda options, backward: Layers(ByOverlap(OUTER, backward, options.spread, options.queries)),
    ),
)
KINDS = {kind.name: kind for kind in EVERY}


def block_bytes(case: Case) -> float:
    """Bytes of a block's keys and values."""
    return 2.0 * case.options.block * case.options.dim * case.inputs[0].itemsize


def row_flops(case: Case) -> float:
    """Operations of a row and a block: two products."""
    return 4.0 * case.options.block * case.options.dim


def cost(case: Case, form: UnionTiles | ReaderLists, layers: SparseKernels) -> tuple[float, float]:
    """Executed operations of a forward pass, and the bytes that programs read or write through the L2 cache."""
    if isinstance(form, UnionTiles):
        flops, moved = union_cost(case, form)
    else:
        flops, moved = lists_cost(case, form, layers.chooser.forward if isinstance(layers, Layers) else OUTER)
    return flops, moved + case.bytes


def union_cost(case: Case, union: UnionTiles) -> tuple[float, float]:
    visits = union.count.sum(dtype=torch.int64).item()
    return visits * union.width * case.group * row_flops(case), visits * block_bytes(case)


def lists_cost(case: Case, lists: ReaderLists, options: OuterOptions) -> tuple[float, float]:
    """A pair's rows are read once as queries, written once as partials and read once by the merge."""
    sizes = lists.size.long()
    readers = max(1, options.rows // case.group)
    tiles = ((sizes + readers - 1) // readers).sum().item()
    moved = 3.0 * sizes.sum().item() * case.group * case.options.dim * case.inputs[0].itemsize
    return tiles * readers * case.group * row_flops(case), len(sizes) * block_bytes(case) + moved


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
