"""The present kernel and the candidates behind one interface: their options, their layers, and what a pass costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.hysparse.kernels.candidates import kv_outer, mixed
from benchmarks.hysparse.kernels.candidates.chosen import Chooser, Thresholds
from benchmarks.hysparse.kernels.candidates.listed import Listed, Shared
from benchmarks.hysparse.kernels.candidates.outer_backward import BackwardOptions
from benchmarks.hysparse.kernels.candidates.reader_lists import ReaderLists
from benchmarks.hysparse.kernels.case import Case
from benchmarks.hysparse.kernels.hybrid_block import SparseKernels
from judgerlvr.hysparse.ops.triton import attention
from judgerlvr.hysparse.ops.triton.union_tiles import UnionTiles


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


OUTER, MIXED, BACKWARD = kv_outer.OuterOptions(), mixed.MixedOptions(), BackwardOptions()
EVERY = (
    Kind("present", (None,), lambda options, backward: attention),
    Kind(
        "outer_backward",
        (
            BACKWARD,
            dataclasses.replace(BACKWARD, warps=8),
            dataclasses.replace(BACKWARD, rows=128, warps=8),
            dataclasses.replace(BACKWARD, task=256),
            dataclasses.replace(BACKWARD, task=1024),
            dataclasses.replace(BACKWARD, span=8192),
            dataclasses.replace(BACKWARD, span=32768),
            dataclasses.replace(BACKWARD, stages=3),
        ),
        lambda options, backward: Listed(OUTER, options),
        backward_alone=True,
    ),
    Kind(
        "outer",
        (
            dataclasses.replace(OUTER, span=8192, stages=3),
            # More programs than tasks leave the balance of the load to the hardware.
            dataclasses.replace(OUTER, span=8192, stages=3, programs=48),
            dataclasses.replace(OUTER, span=8192, stages=3, programs=48, task=256),
        ),
        Listed,
    ),
    Kind(
        "mixed",
        (
            dataclasses.replace(MIXED, tile_stages=2, tile_registers=168, outer=dataclasses.replace(OUTER, span=8192)),
            dataclasses.replace(
                MIXED, tile_stages=2, tile_registers=168, outer=dataclasses.replace(OUTER, span=8192, programs=48)
            ),
        ),
        Listed,
    ),
    Kind("chosen", (Thresholds(),), lambda options, backward: Chooser.with_backward(backward, options)),
)
KINDS = {kind.name: kind for kind in EVERY}


def block_bytes(case: Case) -> float:
    """Bytes of a block's keys and values."""
    return 2.0 * case.options.block * case.options.dim * case.inputs[0].itemsize


def row_flops(case: Case) -> float:
    """Operations of a row and a block: two products."""
    return 4.0 * case.options.block * case.options.dim


def cost(case: Case, shared: UnionTiles | Shared) -> tuple[float, float]:
    """Executed operations of a forward pass, and the bytes that programs read or write through the L2 cache."""
    if isinstance(shared, UnionTiles):
        flops, moved = union_cost(case, shared)
        return flops, moved + case.bytes
    options, table = shared.forward, shared.table
    if isinstance(options, kv_outer.OuterOptions):
        flops, moved = lists_cost(case, table, options)
        return flops, moved + case.bytes
    flops, moved = lists_cost(case, table.lists, options.outer)
    more, read = union_cost(case, table.union)
    return flops + more, moved + read + case.bytes


def union_cost(case: Case, union: UnionTiles) -> tuple[float, float]:
    visits = union.count.sum(dtype=torch.int64).item()
    return visits * union.width * case.group * row_flops(case), visits * block_bytes(case)


def lists_cost(case: Case, lists: ReaderLists, options: kv_outer.OuterOptions) -> tuple[float, float]:
    """A pair's rows are read once as queries, written once as partials and read once by the merge."""
    sizes = lists.size[: int(lists.bounds[-1])].long()
    readers = max(1, options.rows // case.group)
    tiles = ((sizes + readers - 1) // readers).sum().item()
    moved = 3.0 * sizes.sum().item() * case.group * case.options.dim * case.inputs[0].itemsize
    return tiles * readers * case.group * row_flops(case), len(sizes) * block_bytes(case) + moved


def read_options(text: str) -> tuple[str, Any]:
    """Kind and options of a text such as ``outer:rows=128,stages=3``. ValueError names an unreadable text."""
    name, _, entries = text.partition(":")
    if name not in KINDS or KINDS[name].options[0] is None:
        raise ValueError(f"{text!r} is not KIND:NAME=NUMBER,... of {[kind for kind in KINDS if kind != 'present']}")
    options = KINDS[name].options[0]
    for entry in filter(None, entries.split(",")):
        field, _, number = entry.partition("=")
        options = changed(options, field, float(number) if "." in number else int(number))
    return name, options


def changed(options: Any, field: str, value: float) -> Any:
    """The options with one field changed, which may lie in the options of the readers' part."""
    if hasattr(options, field) and not dataclasses.is_dataclass(getattr(options, field)):
        return dataclasses.replace(options, **{field: value})
    if not hasattr(options, "outer") or not dataclasses.is_dataclass(options.outer):
        raise ValueError(f"{type(options).__name__} has no {field!r}")
    return dataclasses.replace(options, outer=changed(options.outer, field, value))


def told(options: Any) -> str:
    """The options in the form that ``read_options`` takes."""
    if options is None:
        return ""
    parts = []
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        parts.append(told(value) if dataclasses.is_dataclass(value) else f"{field.name}={value}")
    return ",".join(parts)
