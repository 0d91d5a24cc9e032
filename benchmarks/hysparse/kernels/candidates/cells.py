"""Rows of the comparison: each kernel on each set of indices, its cost and its distance from the present kernel."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks.hysparse.kernels.candidates.kinds import KINDS, Kind, told
from benchmarks.hysparse.kernels.case import DEVICE, Case
from benchmarks.hysparse.kernels.indices import drifting, jaccard, popular, stored
from benchmarks.hysparse.kernels.libraries import SDPA, fa3, sdpa, token_major
from benchmarks.hysparse.kernels.table import Row, Work
from judgerlvr.hysparse.ops.triton import attention
from judgerlvr.hysparse.ops.triton.union_tiles import mean_union


def sources(case: Case) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """Name and maker of each set of indices."""
    o, where = case.options, (case.context, case.options.kv_heads, case.options.block)
    for path in o.indices:
        yield path.stem, lambda path=path: stored(path, *where, DEVICE)
    for exponent in o.exponents if "popular" in o.sources else ():
        yield f"popular {exponent}", lambda exponent=exponent: popular(*where, o.count, exponent, DEVICE)
    for name, overlap in (("overlap 0.9", 0.9), ("independent", 0.0)):
        if name in o.sources:
            yield name, lambda overlap=overlap: drifting(*where, o.count, overlap, DEVICE)


@torch.no_grad()
def compare(case: Case, fastest: dict[str, tuple[Any, ...]]) -> None:
    """A row for each kernel and set of indices. ``fastest`` maps kinds to configurations, and is narrowed here.

    A kind without configurations tries all its own, on the first set of indices that it meets.
    """
    for source, make in sources(case):
        try:
            indices = make()
            target = described(case, source, indices)
        except Exception as error:  # noqa: BLE001 - a set of indices that fails must not lose the others
            case.table.add(Row(case.context, case.group, "indices", source, note=f"{type(error).__name__}: {error}"))
            continue
        for name in fastest:
            kind = KINDS[name]
            times = {}
            for options in fastest[name] or kind.options:
                times[options] = measured(case, kind, source, indices, options, target)
            finished = {options: ms for options, ms in times.items() if ms is not None}
            if finished:
                fastest[name] = (min(finished, key=finished.__getitem__),)


def described(case: Case, source: str, indices: Tensor) -> Tensor:
    """The present kernel's output, after a row that tells how much neighbours share."""
    o = case.options
    union = attention.share(indices, case.segments, o.block, case.group)
    note = f"union of {union.width} queries {mean_union(union):.1f} blocks, Jaccard {jaccard(indices, o.block):.2f}"
    case.table.add(Row(case.context, case.group, "indices", source, note=note))
    return attention.sparse_attention(*case.inputs, union, case.segments, o.block)


def measured(case: Case, kind: Kind, source: str, indices: Tensor, options: Any, target: Tensor) -> float | None:
    """Rows of a kernel: what layers share, and the attention, whose note tells its cost and its difference."""
    label, work = f"{kind.name} {told(options)}".strip(), case.work(case.options.block * case.options.count)
    prepared: list[Any] = []

    def prepare() -> Callable[[], object]:
        prepared[:] = [kind.prepare(case, indices, options)]
        return lambda: kind.prepare(case, indices, options)

    row = Row(case.context, case.group, label, source)

    def attend() -> Callable[[], object]:
        shared = prepared[0]
        found = kind.attend(case, indices, shared, options)
        out = found[0] if isinstance(found, tuple) else found
        flops, moved = kind.cost(case, shared, options)
        row.note = f"executes {flops / 1e12:.3g} TFLOP, moves {moved / 1e9:.3g} GB [calculated]"
        if out is not None:
            row.note += f", differs by {(out - target).abs().max().item():.2g} at most"
        return lambda: kind.attend(case, indices, shared, options)

    preparing = Row(case.context, case.group, f"prepare {label}", source)
    if case.table.measure(preparing, Work(bytes=4.0 * indices.numel()), prepare) is None:
        return None
    return case.table.measure(row, work, attend)


@torch.no_grad()
def libraries(case: Case) -> None:
    """Dense causal attention of the fastest libraries, forward only."""
    row = lambda what: Row(case.context, case.group, what)  # noqa: E731
    q, k, v = (token_major(tensor) for tensor in case.inputs)
    case.table.measure(row("FA3"), case.work(), lambda: functools.partial(fa3(case.context), q, k, v))
    name = "SDPA cuDNN"
    case.table.measure(row(name), case.work(), lambda: functools.partial(sdpa(SDPA[name]), *case.inputs))
