"""KV-outer backward pass: a program owns a key block and its single readers, and sums run in a fixed order.

Calculated for 32k tokens, 32 query and 8 KV heads of 128, and 16 blocks of 64 keys, in bfloat16. There are 4.2 M pairs
of a query and a block, with 4 heads each. A head's row takes 5 products of 64 x 128: 82 kFLOP, 1.37 TFLOP in all. At
400 TFLOP/s that is 3.4 ms at any overlap. The backward pass over union tiles takes 7 products for each row of a union:
at unions of 91 blocks 11 TFLOP, of which one part in 8 is needed.

A pair reads 1 KiB of queries and 1 KiB of output gradients. It writes 1 KiB of its query's gradient, which the sum
reads again: 17.2 GB, of which 8.6 GB certainly pass HBM. A block's first task in a span reads and writes 64 KiB of
float32 gradients. A further task writes 64 KiB, and the sum reads the 64 KiB again.

Atomic sums in place of slots would move as many bytes, and runs would not repeat bitwise. The fixed order costs a
stable sort of the pairs, once for all sparse layers of a hybrid block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import triton
from torch import Tensor

from judgerlvr.hysparse.ops.kernel_shapes import OUTER_SPAN, OUTER_TASK
from judgerlvr.hysparse.ops.segments import Segments
from judgerlvr.hysparse.ops.triton.kv_outer import (
    OuterOptions,
    as_many_as_fit,
    owners_at_once,
    pair_bytes,
    programs_of,
)
from judgerlvr.hysparse.ops.triton.kv_outer_backward_kernels import (
    add_tasks_kernel,
    outer_backward_kernel,
    sum_parts_kernel,
)
from judgerlvr.hysparse.ops.triton.ordered_lists import OrderedLists
from judgerlvr.hysparse.ops.triton.tile_shapes import rows_of, shape_of


@dataclass(frozen=True)
class BackwardOptions(OuterOptions):
    """Sizes of the backward pass. ``megabytes`` limit the parts of query gradients.

    The gradients of further tasks come on top: an eighth of the parts at group 4, head dim 128 and blocks of 64.
    """

    task: int = OUTER_TASK
    span: int = OUTER_SPAN
    programs: int = 32
    registers: int = 255


@dataclass(frozen=True)
class Buffers:
    """Memory of one launch: parts of the queries' gradients, and gradients of further tasks in float32."""

    parts: Tensor
    keys: Tensor
    values: Tensor

    @classmethod
    def of(cls, q: Tensor, group: int, ordered: OrderedLists, owners: int) -> Buffers:
        """Buffers for ``owners`` KV heads."""
        pairs, dim = ordered.lists.pairs, q.shape[-1]
        # Each further task of a block follows a full task.
        size = (owners * pairs // ordered.most, ordered.lists.block, dim)
        keys, values = (q.new_empty(size, dtype=torch.float32) for _ in range(2))
        return cls(q.new_empty(owners, pairs, group, dim), keys, values)


def kv_outer_backward(
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
    group, scale, queries = shape["GROUP"], q.shape[-1] ** -0.5, q.shape[2]
    most = owners_at_once(lists, pair_bytes(q, k.shape[1]), options.megabytes)
    buffers = as_many_as_fit(lambda owners: Buffers.of(q, group, ordered, owners), most)
    operands = (q, grad_out, *(rows_of(tensor, lists.block) for tensor in (k, v)), lse, delta)
    tables = (*lists.tasks, ordered.slot, lists.bounds, ordered.slot_bounds)
    sums: tuple[Any, ...] = (grad_k, grad_v, buffers.keys, buffers.values)
    readers, tokens = max(1, options.rows // group), max(1, options.merged // group)
    for part in lists.launches(len(buffers.parts)):
        outer_backward_kernel[(programs_of(q, options.programs),)](
            *operands, *tables, buffers.parts, *sums, part.low, part.high, part.begin_query, part.first_owner,
            lists.span, queries, k.shape[2], segments.offset, scale,
            **shape, BLOCK=lists.block, READERS=readers, **options.launch,
        )  # fmt: skip
        if len(buffers.keys):
            add_tasks_kernel[(len(buffers.keys),)](
                *lists.tasks, ordered.follower, ordered.slot_bounds, *sums, part.low, part.high, part.begin_query,
                k.shape[2], segments.offset, DIM=shape["DIM"], COUNT=lists.count, BLOCK=lists.block, num_warps=4,
            )  # fmt: skip
        sum_parts_kernel[(triton.cdiv(part.queries, tokens), part.owners)](
            buffers.parts, lists.indices, grad_q, part.begin_query, part.first_owner, lists.span, queries, scale,
            **shape, TOKENS=tokens, num_warps=4,
        )  # fmt: skip
    return grad_q, grad_k, grad_v
