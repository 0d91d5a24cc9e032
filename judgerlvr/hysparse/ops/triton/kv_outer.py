"""KV-outer forward pass: a program owns a key block and its readers, writes partial outputs, and a merge follows.

Calculated for 32k tokens, 32 query and 8 KV heads of 128, and 16 blocks of 64 keys, in bfloat16. A pair is a query and
one of its blocks, for one KV head: 4.2 M pairs. Queries are gathered (4.3 GB), partials written (4.3 GB) and read (4.3
GB) at any overlap of the choices. Union tiles read 49 GB where 16 queries choose 91 blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
import triton
from torch import Tensor

from judgerlvr.hysparse.ops.kernel_shapes import OUTER_MEGABYTES
from judgerlvr.hysparse.ops.segments import Segments
from judgerlvr.hysparse.ops.triton.kv_outer_kernels import merge_kernel, partial_kernel
from judgerlvr.hysparse.ops.triton.reader_lists import ReaderLists
from judgerlvr.hysparse.ops.triton.tile_shapes import rows_of, shape_of

Made = TypeVar("Made")
# Most bytes of partial rows that a span of one KV head takes.
SPAN_BYTES = 2**28


@dataclass(frozen=True)
class OuterOptions:
    """Sizes that may be tuned. The defaults were the fastest on an H200.

    ``rows`` of a tile are pairs times heads. ``task`` counts pairs, ``span`` queries. ``programs`` counts persistent
    programs a multiprocessor: more programs than tasks leave the balance of the load to the hardware. ``merged`` counts
    the rows of a merging program. ``registers`` limits a thread's registers, so that three programs of 4 warps fit a
    multiprocessor. ``megabytes`` limit the partial outputs.
    """

    rows: int = 64
    task: int = 256
    span: int = 8192
    warps: int = 4
    stages: int = 3
    programs: int = 48
    merged: int = 32
    registers: int = 168
    megabytes: int = OUTER_MEGABYTES

    @property
    def launch(self) -> dict[str, int]:
        """Launch options of the kernel that visits readers."""
        return {"num_warps": self.warps, "num_stages": self.stages, "maxnreg": self.registers}


def pair_bytes(q: Tensor, kv_heads: int) -> int:
    """Bytes of a pair's rows: a row for each query head of the group."""
    return q.shape[1] // kv_heads * q.shape[-1] * q.itemsize


def span_of(span: int, indices: Tensor, pair: int) -> int:
    """``span`` queries, or fewer where the rows of a KV head's pairs, ``pair`` bytes each, pass SPAN_BYTES."""
    return max(1, min(span, indices.shape[2], SPAN_BYTES // (indices.shape[3] * pair)))


def owners_at_once(lists: ReaderLists, pair: int, megabytes: int) -> int:
    """Owners whose pairs' rows fill at most ``megabytes``, at least one."""
    return max(1, min(lists.owners, (megabytes << 20) // (lists.pairs * pair)))


def as_many_as_fit(make: Callable[[int], Made], most: int) -> Made:
    """What ``make`` makes for ``most`` owners, or for half as many as long as memory is short.

    A launch of fewer owners gives the same bits, so a device with little free memory only takes longer.
    """
    while True:
        try:
            return make(most)
        except torch.OutOfMemoryError:
            if most == 1:
                raise
        most //= 2


def programs_of(q: Tensor, programs: int) -> int:
    """Persistent programs of a launch, ``programs`` a multiprocessor. The interpreter runs a few."""
    if not q.is_cuda:
        return programs
    return programs * torch.cuda.get_device_properties(q.device).multi_processor_count


def kv_outer_forward(
    q: Tensor, k: Tensor, v: Tensor, sinks: Tensor | None, lists: ReaderLists, segments: Segments, options: OuterOptions
) -> tuple[Tensor, Tensor]:
    """Output like q and log normaliser float32 [batch, heads, queries] of attention over the listed blocks.

    q [batch, heads, queries, dim], k and v [batch, kv_heads, keys, dim] are contiguous. A partial output has the dtype
    of q: 16 blocks of 32 heads and head dim 128 fill 128 KiB a query in bfloat16.
    """
    shape, scale, queries = shape_of(q, k) | {"COUNT": lists.count}, q.shape[-1] ** -0.5, q.shape[2]
    group = shape["GROUP"]
    out, lse = torch.empty_like(q), q.new_empty(q.shape[:3], dtype=torch.float32)

    def partials(owners: int) -> tuple[Tensor, Tensor]:
        size = (owners, lists.pairs, group)
        return q.new_empty(*size, q.shape[-1]), q.new_empty(size, dtype=torch.float32)

    parts = as_many_as_fit(partials, owners_at_once(lists, pair_bytes(q, k.shape[1]), options.megabytes))
    described = [rows_of(tensor, lists.block) for tensor in (k, v)]
    readers, tokens = max(1, options.rows // group), max(1, options.merged // group)
    for part in lists.launches(len(parts[0])):
        partial_kernel[(programs_of(q, options.programs),)](
            q, *described, *lists.tasks, lists.bounds, *parts, part.low, part.high, part.begin_query, part.first_owner,
            lists.span, queries, k.shape[2], segments.offset, scale,
            **shape, BLOCK=lists.block, READERS=readers, **options.launch,
        )  # fmt: skip
        merge_kernel[(triton.cdiv(part.queries, tokens), part.owners)](
            *parts, lists.indices, sinks, out, lse, part.begin_query, part.first_owner, lists.span, queries,
            **shape, KEPT=triton.next_power_of_2(lists.count), TOKENS=tokens, HAS_SINKS=sinks is not None, num_warps=4,
        )  # fmt: skip
    return out, lse
