"""The present kernel and the candidates behind one interface: prepare, attend, and what an attend costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.hysparse.kernels.candidates import kv_outer, mixed, staged
from benchmarks.hysparse.kernels.candidates.reader_lists import ReaderLists
from benchmarks.hysparse.kernels.case import Case
from judgerlvr.hysparse.ops.triton import attention
from judgerlvr.hysparse.ops.triton.union_tiles import UnionTiles


@dataclass(frozen=True)
class Kind:
    """A kernel to compare. ``options`` are the configurations that compete at the first context.

    ``prepare`` makes from indices what layers share. ``attend`` returns output and log normaliser, the output alone, or
    None if it computes a part. ``cost`` of the whole gives the executed operations, and the bytes that programs read or
    write through the L2 cache.
    """

    name: str
    options: tuple[Any, ...]
    prepare: Callable[[Case, Tensor, Any], Any]
    attend: Callable[[Case, Tensor, Any, Any], Any]
    cost: Callable[[Case, Any, Any], tuple[float, float]]


def present_attend(case: Case, indices: Tensor, shared: UnionTiles, options: None) -> Tensor:
    return attention.sparse_attention(*case.inputs, shared, case.segments, case.options.block)


def block_bytes(case: Case) -> float:
    """Bytes of a block's keys and values."""
    return 2.0 * case.options.block * case.options.dim * case.inputs[0].itemsize


def row_flops(case: Case) -> float:
    """Operations of a row and a block: two products."""
    return 4.0 * case.options.block * case.options.dim


def present_cost(case: Case, shared: UnionTiles, options: None) -> tuple[float, float]:
    visits = shared.count.sum(dtype=torch.int64).item()
    return visits * shared.width * case.group * row_flops(case), visits * block_bytes(case) + case.bytes


def outer_prepare(case: Case, indices: Tensor, options: kv_outer.OuterOptions) -> ReaderLists:
    return kv_outer.lists_of(indices, case.segments, case.options.block, options)


def outer_attend(case: Case, indices: Tensor, shared: ReaderLists, options: kv_outer.OuterOptions) -> Any:
    return kv_outer.forward(*case.inputs, indices, shared, case.segments, options)


def outer_cost(case: Case, shared: ReaderLists, options: kv_outer.OuterOptions) -> tuple[float, float]:
    """A pair's rows are read once as queries, written once as partials and read once by the merge."""
    sizes = shared.size[: int(shared.bounds[-1])].long()
    readers = max(1, options.rows // case.group)
    tiles = ((sizes + readers - 1) // readers).sum().item()
    moved = 3.0 * sizes.sum().item() * case.group * case.options.dim * case.inputs[0].itemsize
    flops = tiles * readers * case.group * row_flops(case)
    return flops, len(sizes) * block_bytes(case) + moved + case.bytes


def staged_prepare(case: Case, indices: Tensor, options: staged.StagedOptions) -> UnionTiles:
    return staged.union_of(indices, case.segments, case.options.block, case.group, options)


def staged_attend(case: Case, indices: Tensor, shared: UnionTiles, options: staged.StagedOptions) -> Any:
    return staged.forward(*case.inputs, shared, case.segments, options)


def staged_cost(case: Case, shared: UnionTiles, options: staged.StagedOptions) -> tuple[float, float]:
    width = shared.width // 2
    held = torch.arange(shared.bits.shape[-1], device=shared.bits.device) < shared.count[..., None]
    low, high = shared.bits & ((1 << width) - 1), shared.bits >> width
    visits = ((low != 0) & held).sum().item() + ((high != 0) & held).sum().item()
    read = shared.count.sum(dtype=torch.int64).item() * block_bytes(case)
    return visits * width * case.group * row_flops(case), read + case.bytes


def mixed_prepare(case: Case, indices: Tensor, options: mixed.MixedOptions) -> mixed.MixedShare:
    return mixed.share_of(indices, case.segments, case.options.block, case.group, options)


def mixed_attend(case: Case, indices: Tensor, shared: mixed.MixedShare, options: mixed.MixedOptions) -> Any:
    return mixed.forward(*case.inputs, shared, case.segments, options)


def mixed_cost(case: Case, shared: mixed.MixedShare, options: mixed.MixedOptions) -> tuple[float, float]:
    flops, moved = outer_cost(case, shared.lists, options.outer)
    more, read = present_cost(case, shared.union, None)
    return flops + more, moved + read - case.bytes


def fill(case: Case, lists: ReaderLists, options: kv_outer.OuterOptions) -> None:
    """The part of an attend that computes partials."""
    partials = kv_outer.Partials.of(*case.inputs, lists, case.segments, options)
    for number in range(lists.spans):
        partials.fill(number)


OUTER = kv_outer.OuterOptions()
MIXED = mixed.MixedOptions()
KINDS = {
    "present": Kind(
        "present",
        (None,),
        lambda case, indices, _: attention.share(indices, case.segments, case.options.block, case.group),
        present_attend,
        present_cost,
    ),
    "outer": Kind(
        "outer",
        (
            OUTER,
            dataclasses.replace(OUTER, stages=3),
            dataclasses.replace(OUTER, registers=255),
            dataclasses.replace(OUTER, rows=128, registers=255),
            dataclasses.replace(OUTER, task=512),
            dataclasses.replace(OUTER, span=8192),
            dataclasses.replace(OUTER, merged=64),
        ),
        outer_prepare,
        outer_attend,
        outer_cost,
    ),
    "mixed": Kind(
        "mixed",
        (
            MIXED,
            dataclasses.replace(MIXED, least=8),
            dataclasses.replace(MIXED, least=4),
            dataclasses.replace(MIXED, tile_stages=2, tile_registers=168),
            # All blocks through the union, with a third program a multiprocessor.
            dataclasses.replace(MIXED, least=1, tile_stages=2, tile_registers=168),
            dataclasses.replace(MIXED, outer=dataclasses.replace(OUTER, span=2048)),
            dataclasses.replace(MIXED, outer=dataclasses.replace(OUTER, span=8192)),
        ),
        mixed_prepare,
        mixed_attend,
        mixed_cost,
    ),
    "outer, partials": Kind(
        "outer, partials",
        (OUTER,),
        outer_prepare,
        lambda case, _, lists, options: fill(case, lists, options),
        outer_cost,
    ),
    "mixed, partials": Kind(
        "mixed, partials",
        (MIXED,),
        mixed_prepare,
        lambda case, _, shared, options: fill(case, shared.lists, options.outer),
        mixed_cost,
    ),
    "staged": Kind(
        "staged",
        (staged.StagedOptions(), staged.StagedOptions(stages=3), staged.StagedOptions(warps=8)),
        staged_prepare,
        staged_attend,
        staged_cost,
    ),
}


def read_options(text: str) -> tuple[str, Any]:
    """Kind and options of a text such as ``outer:rows=128,stages=3``. ValueError names an unreadable text."""
    name, _, entries = text.partition(":")
    if name not in KINDS or KINDS[name].options[0] is None:
        raise ValueError(f"{text!r} is not KIND:NAME=NUMBER,... of {[kind for kind in KINDS if kind != 'present']}")
    options = KINDS[name].options[0]
    for entry in filter(None, entries.split(",")):
        field, _, number = entry.partition("=")
        options = changed(options, field, int(number))
    return name, options


def changed(options: Any, field: str, value: int) -> Any:
    """The options with one field changed, which may lie in the options of the readers' part."""
    if hasattr(options, field):
        return dataclasses.replace(options, **{field: value})
    if not hasattr(options, "outer"):
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
