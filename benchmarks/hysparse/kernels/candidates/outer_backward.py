"""Backward pass of sparse attention that owns key blocks and their single readers, in a fixed order of sums.

Calculated for 32k tokens, 32 query and 8 KV heads of 128, and 16 blocks of 64 keys, in bfloat16. There are 4.2 M pairs
of a query and a block, with 4 heads each. A head's row takes 5 products of 64 x 128: 82 kFLOP, 1.37 TFLOP in all. At
400 TFLOP/s that is 3.4 ms at any overlap. The present backward takes 7 products for each row of a union: at unions of
91 blocks 11 TFLOP, of which one part in 8 is needed.

A pair reads 1 KiB of queries and 1 KiB of output gradients. It writes 1 KiB of its query's gradient, which the sum
reads again: 17.2 GB, of which 8.6 GB certainly pass HBM. A block's first task in a span reads and writes 64 KiB of
float32 gradients: 8,192 such tasks, 1.1 GB. A further task writes 64 KiB, and the sum reads it. With tasks of 512 pairs
that is at most 1.1 GB. The forward pass took 3.3 ms for 8.6 GB and 0.55 TFLOP, and 1.1 ms for the sum. So 6 to 9 ms are
to be expected where the present backward takes 23.

Atomic sums in place of slots would move as many bytes. The fixed order costs a stable sort of the pairs, once for all
sparse layers of a block: at 3 TB/s about 0.3 ms at 32k and 1.2 ms at 128k.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import triton
from torch import Tensor

from benchmarks.hysparse.kernels.candidates.backward_kernels import (
    add_tasks_kernel,
    outer_backward_kernel,
    sum_parts_kernel,
)
from benchmarks.hysparse.kernels.candidates.kv_outer import programs_of
from benchmarks.hysparse.kernels.candidates.ordered_lists import OrderedLists, ordered_lists
from judgerlvr.hysparse.ops.triton.attention import shape_of
from judgerlvr.hysparse.ops.triton.tile_shapes import rows_of
from judgerlvr.hysparse.segments import Segments


@dataclass(frozen=True)
class BackwardOptions:
    """Sizes that may be tuned, as ``OuterOptions`` names them. ``megabytes`` limit the parts of query gradients.

    A launch treats a span of queries and as many KV heads as fit the limit.
    """

    rows: int = 64
    task: int = 512
    span: int = 16384
    warps: int = 4
    stages: int = 2
    programs: int = 32
    merged: int = 32
    registers: int = 255
    megabytes: int = 1024


def backward_lists(indices: Tensor, segments: Segments, block: int, options: BackwardOptions) -> OrderedLists:
    """Lists that the backward passes of all sparse layers after a full layer share."""
    return ordered_lists(indices, segments, block, min(options.span, indices.shape[2]), options.task)


@dataclass(frozen=True)
class Buffers:
    """Memory of one launch: parts of the queries' gradients, and gradients of further tasks in float32."""

    parts: Tensor
    keys: Tensor
    values: Tensor

    @classmethod
    def of(cls, q: Tensor, group: int, ordered: OrderedLists, options: BackwardOptions) -> Buffers:
        """Buffers for as many KV heads as ``options.megabytes`` hold, at least one."""
        pairs, dim = ordered.lists.span * ordered.lists.count, q.shape[-1]
        heads = max(1, (options.megabytes << 20) // (pairs * group * dim * q.itemsize))
        owners = min(heads, q.shape[0] * q.shape[1] // group)
        # Each further task of a block follows a full task.
        size = (owners * pairs // ordered.most, ordered.lists.block, dim)
        keys, values = (q.new_empty(size, dtype=torch.float32) for _ in range(2))
        return cls(q.new_empty(owners, pairs, group, dim), keys, values)


def backward(
    q: Tensor, k: Tensor, v: Tensor, lse: Tensor, delta: Tensor, grad_out: Tensor, ordered: OrderedLists,
    segments: Segments, options: BackwardOptions,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of q, of k and of v. The latter two are float32. All inputs are contiguous.

    ``lse`` and ``delta`` float32 [batch, heads, queries] are the log normaliser, sinks included, and the output times
    its gradient summed over the head dim.
    """
    grad_q = torch.empty_like(q)
    grad_k, grad_v = (torch.zeros_like(shared, dtype=torch.float32) for shared in (k, v))
    lists, shape = ordered.lists, shape_of(q, k) | {"COUNT": ordered.lists.count}
    group, owners = shape["GROUP"], k.shape[0] * k.shape[1]
    buffers = Buffers.of(q, group, ordered, options)
    launches = [
        (number, low, min(low + len(buffers.parts), owners))
        for number in range(lists.spans)
        for low in range(0, owners, len(buffers.parts))
    ]
    operands = (q, grad_out, *(rows_of(tensor, lists.block) for tensor in (k, v)), lse, delta)
    tables = (*ordered.tables, ordered.slot, ordered.bounds, ordered.slot_bounds)
    sums: tuple[Any, ...] = (grad_k, grad_v, buffers.keys, buffers.values)
    readers, tokens = max(1, options.rows // group), max(1, options.merged // group)
    scale, programs = q.shape[-1] ** -0.5, programs_of(q, options.programs)
    for number, low, high in launches:
        edges, begin = (number * owners + low, number * owners + high), number * lists.span
        outer_backward_kernel[(programs,)](
            *operands, *tables, buffers.parts, *sums, *edges, begin, low, lists.span, q.shape[2],
            segments.keys, segments.offset, scale, **shape, BLOCK=lists.block, READERS=readers,
            num_warps=options.warps, num_stages=options.stages, maxnreg=options.registers,
        )  # fmt: skip
        if len(buffers.keys):
            add_tasks_kernel[(len(buffers.keys),)](
                *ordered.tables, ordered.follower, ordered.slot_bounds, *sums, *edges, begin, segments.keys,
                segments.offset, DIM=shape["DIM"], COUNT=lists.count, BLOCK=lists.block, num_warps=4,
            )  # fmt: skip
        size = min(lists.span, q.shape[2] - begin)
        sum_parts_kernel[(triton.cdiv(size, tokens), high - low)](
            buffers.parts, ordered.indices, grad_q, begin, low, lists.span, q.shape[2], scale, **shape,
            TOKENS=tokens, num_warps=4,
        )  # fmt: skip
    return grad_q, grad_k, grad_v
