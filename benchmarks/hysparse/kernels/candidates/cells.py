"""Rows of the comparison: each kernel on each set of indices, its cost and its distance from union tiles."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.hysparse.kernels.candidates.costs import Cost, backward_cost, forward_cost
from benchmarks.hysparse.kernels.candidates.kinds import Kind, told
from benchmarks.hysparse.kernels.case import DEVICE, Case
from benchmarks.hysparse.kernels.hybrid_block import SparseKernels, block_rows
from benchmarks.hysparse.kernels.index_files import description, stored
from benchmarks.hysparse.kernels.indices import drifting, jaccard, jaccard_of_all, popular
from benchmarks.hysparse.kernels.libraries import SDPA, baselines, fa3, sdpa, token_major
from benchmarks.hysparse.kernels.table import Row, Work
from judgerlvr.hysparse.ops.triton import attention
from judgerlvr.hysparse.ops.triton.overlap import SharedChoice
from judgerlvr.hysparse.ops.triton.union_tiles import UnionTiles, block_readers, mean_union

SOURCES = ("popular", "overlap 0.9", "independent")
BLOCK = "block of 1 + 3 layers"


def sources(case: Case) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """Name and maker of each set of indices."""
    o, where = case.options, (case.context, case.options.kv_heads, case.options.block)
    for path in o.indices:
        yield trained(path), lambda path=path: stored(path, *where, DEVICE)
    for exponent in o.exponents if "popular" in o.sources else ():
        yield f"popular {exponent}", lambda exponent=exponent: popular(*where, o.count, exponent, DEVICE)
    for name, overlap in (("overlap 0.9", 0.9), ("independent", 0.0)):
        if name in o.sources:
            yield name, lambda overlap=overlap: drifting(*where, o.count, overlap, DEVICE)


def trained(path: Path) -> str:
    """Name of the choices in a file."""
    return f"trained, {path.stem}"


class Comparison:
    """Rows of one kind of kernels. ``options`` are narrowed to the fastest on the first set of indices."""

    def __init__(self, kind: Kind, options: tuple[Any, ...], backward: Any) -> None:
        self.kind, self.options, self.backward = kind, options or kind.options, backward

    def run(self, case: Case) -> None:
        """Rows of all sets of indices. A set that fails does not lose the others."""
        for number, (source, make) in enumerate(sources(case)):
            try:
                indices = make()
                target, size = described(case, source, indices)
            except Exception as error:  # noqa: BLE001 - a set of indices that fails must not lose the others
                case.table.add(
                    Row(case.context, case.group, "indices", source, note=f"{type(error).__name__}: {error}")
                )
                continue
            times = {options: self.rows(case, source, indices, options, target, size) for options in self.options}
            finished = {options: ms for options, ms in times.items() if ms is not None}
            if finished:
                self.options = (min(finished, key=finished.__getitem__),)
            # A block takes seconds at long context, so it is run on the first set alone.
            if case.options.blocks and number == 0 and finished and not self.kind.backward_alone:
                layers, what = self.kind.layers(self.options[0], self.backward), f"{self.kind.name}: {BLOCK}"
                block_rows(case, source, lambda indices=indices: indices, what, layers, case.options.with_backward)

    def rows(
        self, case: Case, source: str, indices: Tensor, options: Any, target: Tensor, union: float
    ) -> float | None:
        """Rows of one configuration, and the time by which configurations compete."""
        layers = self.kind.layers(options, self.backward)
        measured = Measured(case, source, f"{self.kind.name} {told(options)}".strip(), layers, indices, union)
        shared = measured.prepared()
        if shared is None:
            return None
        if not self.kind.backward_alone:
            ms = measured.forward(shared, target)
            if case.options.with_backward and ms is not None:
                measured.readers(shared)
                measured.both(shared)
            return ms
        measured.readers(shared)
        return measured.backward_alone(shared)


def described(case: Case, source: str, indices: Tensor) -> tuple[Tensor, float]:
    """The output of union tiles and their mean union, after a row that tells how much neighbours share."""
    o = case.options
    union = attention.share(indices, case.segments, o.block, case.group)
    size = mean_union(union)
    note = f"union of {union.width} queries, Jaccard {jaccard_of_all(indices):.2f} of all" + "".join(
        f", {description(path)}" for path in o.indices if trained(path) == source
    )
    row = Row(case.context, case.group, "indices", source, note=note, union=size, jaccard=jaccard(indices, o.block))
    case.table.add(row)
    return attend(case, attention, union), size


@torch.no_grad()
def attend(case: Case, layers: SparseKernels, shared: Any) -> Tensor:
    return layers.sparse_attention(*case.inputs, shared, case.segments, case.options.block)


def leaves(case: Case) -> list[Tensor]:
    """Queries, and keys and values in float32, as sparse layers take them in training."""
    q, *keys = (tensor.detach() for tensor in case.inputs)
    return [tensor.requires_grad_() for tensor in (q, *(key.float() for key in keys))]


def gradients(case: Case, layers: SparseKernels, shared: Any) -> Callable[[], tuple[Tensor, ...]]:
    """The forward and the backward pass as one call."""
    inputs, o = leaves(case), case.options
    return lambda: torch.autograd.grad(
        layers.sparse_attention(*inputs, shared, case.segments, o.block), inputs, case.grad
    )


class Measured:
    """Rows of one configuration on one set of indices."""

    def __init__(
        self, case: Case, source: str, label: str, layers: SparseKernels, indices: Tensor, union: float
    ) -> None:
        self.case, self.source, self.label, self.layers, self.indices = case, source, label, layers, indices
        self.union = union
        self.work = case.work(case.options.block * case.options.count)

    def row(self, what: str) -> Row:
        return Row(self.case.context, self.case.group, what, self.source)

    def costed(self, row: Row, cost: Cost) -> None:
        """Give a row the figures that are calculated."""
        row.union, row.executed, row.moved = self.union, cost.flops, cost.moved

    def prepared(self) -> Any:
        """What layers share, after a row for its time. None if that failed."""
        case, found = self.case, []

        def share() -> Any:
            shared = self.layers.share(self.indices, case.segments, case.options.block, case.group)
            if isinstance(shared, SharedChoice):
                shared.form(case.inputs[0])
            return shared

        def make() -> Callable[[], object]:
            found.append(share())
            return share

        row = self.row(f"prepare {self.label}")
        ms = case.table.measure(row, Work(bytes=4.0 * self.indices.numel()), make)
        return found[0] if ms is not None else None

    def forward(self, shared: Any, target: Tensor) -> float | None:
        row = self.row(self.label)

        def make() -> Callable[[], object]:
            out = attend(self.case, self.layers, shared)
            self.costed(row, forward_cost(self.case, shared, self.layers))
            row.note = f"differs by {(out - target).abs().max().item():.2g} at most"
            return functools.partial(attend, self.case, self.layers, shared)

        return self.case.table.measure(row, self.work, make)

    def readers(self, shared: Any) -> None:
        """What the backward passes of all layers share."""
        q = self.case.inputs[0]
        form = shared.backward_form(q) if isinstance(shared, SharedChoice) else shared
        call: Callable[[], object] = (
            functools.partial(block_readers, form)
            if isinstance(form, UnionTiles)
            else functools.partial(shared.new_readers, q)
        )
        work = Work(bytes=4.0 * self.indices.numel())
        self.case.table.measure(self.row(f"prepare backward {self.label}"), work, lambda: call)

    def both(self, shared: Any) -> None:
        """Forward and backward, with the largest difference of each gradient from union tiles'."""
        row = self.row(f"{self.label} + backward")

        def make() -> Callable[[], object]:
            row.note = self.distance(shared)
            backward = backward_cost(self.case, shared, self.layers)
            self.costed(row, forward_cost(self.case, shared, self.layers) + backward)
            return gradients(self.case, self.layers, shared)

        self.case.table.measure(row, Work(3.5 * self.work.flops, 3 * self.work.bytes), make)

    def distance(self, shared: Any) -> str:
        case = self.case
        union = attention.share(self.indices, case.segments, case.options.block, case.group)
        expected = gradients(case, attention, union)()
        found = gradients(case, self.layers, shared)()
        parts = []
        for name, got, wanted in zip(("dQ", "dK", "dV"), found, expected, strict=True):
            worst, largest = (got - wanted).abs().max().item(), wanted.abs().max().item()
            parts.append(f"{name} by {worst:.2g} of {largest:.2g}")
        return f"differ at most: {', '.join(parts)}"

    def backward_alone(self, shared: Any) -> float | None:
        """The backward pass alone, beside union tiles' on the same indices."""
        case, o = self.case, self.case.options
        work = Work(2.5 * self.work.flops, 2 * self.work.bytes)
        union = attention.share(self.indices, case.segments, o.block, case.group)
        name = "union backward alone"
        if case.table.find(case.context, case.group, name, self.source) is None:
            beside = self.row(name)
            self.costed(beside, backward_cost(case, union, attention))
            case.table.measure(beside, work, lambda: retained(case, attention, union))
        row = self.row(self.label)

        def make() -> Callable[[], object]:
            row.note = self.distance(shared)
            self.costed(row, backward_cost(case, shared, self.layers))
            return retained(case, self.layers, shared)

        return case.table.measure(row, work, make)


def retained(case: Case, layers: SparseKernels, shared: Any) -> Callable[[], object]:
    """The backward pass over one forward pass's graph."""
    inputs = leaves(case)
    out = layers.sparse_attention(*inputs, shared, case.segments, case.options.block)
    return lambda: torch.autograd.grad(out, inputs, case.grad, retain_graph=True)


def libraries(case: Case) -> None:
    """Dense causal attention of the fastest libraries, with the backward pass on request."""
    if case.options.with_backward:
        baselines(case)
        return
    row = lambda what: Row(case.context, case.group, what)  # noqa: E731
    q, k, v = (token_major(tensor) for tensor in case.inputs)
    name = "SDPA cuDNN"
    with torch.no_grad():
        case.table.measure(row("FA3"), case.work(), lambda: functools.partial(fa3(case.context), q, k, v))
        case.table.measure(row(name), case.work(), lambda: functools.partial(sdpa(SDPA[name]), *case.inputs))
