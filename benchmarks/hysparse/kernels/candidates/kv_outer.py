"""First candidate: a program owns a key block and its readers, writes partial outputs, and a merge follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import triton
from torch import Tensor

from benchmarks.hysparse.kernels.candidates.reader_kernels import merge_kernel, partial_kernel
from benchmarks.hysparse.kernels.candidates.reader_lists import ReaderLists, reader_lists
from judgerlvr.hysparse.ops.triton.attention import dense, shape_of
from judgerlvr.hysparse.ops.triton.tile_shapes import rows_of
from judgerlvr.hysparse.segments import Segments


@dataclass(frozen=True)
class OuterOptions:
    """Sizes that may be tuned. ``rows`` of a tile are pairs times heads. ``task`` counts pairs, ``span`` queries.

    ``programs`` counts persistent programs a multiprocessor. ``merged`` counts the rows of a merging program.
    ``registers`` limits a thread's registers, so that three programs of 4 warps fit a multiprocessor.
    """

    rows: int = 64
    task: int = 128
    span: int = 4096
    warps: int = 4
    stages: int = 2
    programs: int = 6
    merged: int = 32
    registers: int = 168


@dataclass(frozen=True)
class Partials:
    """Buffers of one span's partials, and the launch that fills them."""

    out: Tensor
    lse: Tensor
    shape: dict[str, int]
    kept: int
    launch: Callable[[int], Any]

    @classmethod
    def of(
        cls, q: Tensor, k: Tensor, v: Tensor, lists: ReaderLists, segments: Segments, options: OuterOptions
    ) -> Partials:
        """Buffers for contiguous q [batch, heads, queries, dim], k and v [batch, kv_heads, keys, dim].

        A partial output has the dtype of q: 16 blocks of 32 heads and head dim 128 fill 128 KiB a query in bfloat16.
        """
        pairs = k.shape[0] * k.shape[1]
        shape = {**shape_of(q, k), "COUNT": lists.count}
        size = (pairs, lists.span * lists.count, shape["GROUP"])
        out, lse = q.new_empty(*size, q.shape[-1]), q.new_empty(size, dtype=torch.float32)
        table = (lists.entry, lists.first, lists.size, lists.begin, lists.owner, lists.bounds)
        tiles = [rows_of(tensor, lists.block) for tensor in (k, v)]
        sizes = (lists.span, q.shape[2], segments.keys, segments.offset, q.shape[-1] ** -0.5)
        readers, programs = max(1, options.rows // shape["GROUP"]), programs_of(q, options.programs)

        def launch(number: int) -> None:
            partial_kernel[(programs,)](
                q, *tiles, *table, out, lse, number, *sizes, **shape, BLOCK=lists.block, READERS=readers,
                num_warps=options.warps, num_stages=options.stages, maxnreg=options.registers,
            )  # fmt: skip

        return cls(out, lse, shape, triton.next_power_of_2(shape["COUNT"]), launch)

    @property
    def group(self) -> int:
        return self.shape["GROUP"]

    def fill(self, number: int) -> None:
        """Compute the partials of span ``number``."""
        self.launch(number)


def lists_of(indices: Tensor, segments: Segments, block: int, options: OuterOptions, multiple: int = 1) -> ReaderLists:
    """Reader lists that all sparse layers after a full layer share. The span is rounded up to ``multiple`` queries."""
    span = -(-min(options.span, indices.shape[2]) // multiple) * multiple
    return reader_lists(indices.contiguous(), segments, block, span, options.task)


def forward(
    q: Tensor, k: Tensor, v: Tensor, indices: Tensor, lists: ReaderLists, segments: Segments, options: OuterOptions,
    sinks: Tensor | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Output like q and log normaliser float32 [batch, heads, queries] of attention over the chosen blocks.

    q [batch, heads, queries, dim], k and v [batch, kv_heads, keys, dim], indices int32
    [batch, kv_heads, queries, count] padded with -1.
    """
    q, k, v, indices = dense(q, k, v, indices)
    out, lse = torch.empty_like(q), q.new_empty(q.shape[:3], dtype=torch.float32)
    partials = Partials.of(q, k, v, lists, segments, options)
    pairs, queries, span = k.shape[0] * k.shape[1], q.shape[2], lists.span
    tokens = max(1, options.merged // partials.group)
    for number in range(lists.spans):
        partials.fill(number)
        size = min(span, queries - number * span)
        merge_kernel[(triton.cdiv(size, tokens), pairs)](
            partials.out, partials.lse, indices, sinks, out, lse, number, span, queries,
            **partials.shape, KEPT=partials.kept, TOKENS=tokens, HAS_SINKS=sinks is not None, num_warps=4,
        )  # fmt: skip
    return out, lse


def programs_of(q: Tensor, programs: int) -> int:
    """Persistent programs of a launch, ``programs`` a multiprocessor. The interpreter runs a few."""
    if not q.is_cuda:
        return programs
    return programs * torch.cuda.get_device_properties(q.device).multi_processor_count
