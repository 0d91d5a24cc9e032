"""One context and group size of the benchmark: its inputs, its least work, and its sets of indices."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.hysparse.kernels.index_files import stored
from benchmarks.hysparse.kernels.indices import drifting
from benchmarks.hysparse.kernels.table import Row, Table, Work
from judgerlvr.hysparse.ops.segments import Segments, whole
from judgerlvr.hysparse.ops.selection import Selection

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# Triton's interpreter multiplies bfloat16 matrices as if they held integers.
DTYPE = torch.bfloat16 if DEVICE == "cuda" else torch.float16


@dataclass(frozen=True)
class Case:
    """One context and group size: inputs of one layer, batch 1, and the table for its rows."""

    table: Table
    options: argparse.Namespace
    context: int
    group: int

    @property
    def heads(self) -> int:
        return self.options.kv_heads * self.group

    @functools.cached_property
    def inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        draw = torch.Generator(DEVICE).manual_seed(0)
        shapes = [(1, n, self.context, self.options.dim) for n in (self.heads, *[self.options.kv_heads] * 2)]
        q, k, v = (torch.randn(s, generator=draw, device=DEVICE, dtype=DTYPE) for s in shapes)
        return q, k, v

    @functools.cached_property
    def grad(self) -> Tensor:
        return torch.randn_like(self.inputs[0])

    @functools.cached_property
    def sinks(self) -> Tensor:
        return torch.zeros(self.heads, device=DEVICE)

    @property
    def segments(self) -> Segments:
        return whole(1, self.context, device=DEVICE)

    @property
    def selection(self) -> Selection:
        return Selection(self.options.block, self.options.count)

    @property
    def bytes(self) -> float:
        """Query, output, keys and values once."""
        return 2.0 * 2 * (self.heads + self.options.kv_heads) * self.context * self.options.dim

    def work(self, most: int | None = None) -> Work:
        """Attention in which a query sees its last or best ``most`` keys: two products a pair and dimension."""
        most = min(most or self.context, self.context)
        pairs = most * (most + 1) / 2 + (self.context - most) * most
        return Work(4.0 * self.heads * self.options.dim * pairs, self.bytes)

    def both(
        self, what: str, call: Callable[..., Tensor], work: Work, source: str = "", note: str = "",
        wide: bool = False, prepare: Callable[[Tensor], Tensor] | None = None,
    ) -> None:  # fmt: skip
        """A row for the forward pass, and a row for forward and backward, counted as 3.5 times the operations.

        ``wide``: the backward row reads K and V in float32, as sparse layers do in training. ``prepare`` brings q, k, v
        and the output's gradient into another layout, outside of the timed part.
        """
        row = functools.partial(Row, self.context, self.group, source=source, note=note)

        def forward() -> Callable[[], object]:
            inputs = [(prepare or unchanged)(tensor.detach()) for tensor in self.inputs]
            return torch.no_grad()(lambda: call(*inputs))

        def backward() -> Callable[[], object]:
            q, *keys = (tensor.detach() for tensor in self.inputs)
            keys = [key.float() for key in keys] if wide else keys
            inputs = [(prepare or unchanged)(tensor).requires_grad_() for tensor in (q, *keys)]
            grad = (prepare or unchanged)(self.grad)
            return lambda: torch.autograd.grad(call(*inputs), inputs, grad)

        if self.table.measure(row(what), work, forward) is None:
            return
        self.table.measure(row(f"{what} + backward"), Work(3.5 * work.flops, 3 * work.bytes), backward)


def unchanged(tensor: Tensor) -> Tensor:
    """A leaf of its own over the same memory."""
    return tensor.detach()


def sources(case: Case) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """Name and maker of each set of indices."""
    o = case.options
    if o.indices:
        yield "trained", lambda: stored(o.indices, case.context, o.kv_heads, o.block, DEVICE)
    for name, overlap in (("overlap 0.9", 0.9), ("independent", 0.0)):
        yield name, lambda overlap=overlap: drifting(case.context, o.kv_heads, o.block, o.count, overlap, DEVICE)
