"""What a pass of sparse attention executes, and what it moves through the L2 cache. Counted from the tables of tasks.

Operations are those of the matrix products, masked and padded rows included. Bytes are rows of queries, keys, values,
outputs, partials and gradients that programs read or write. Tables, log normalisers, casts of K and V to half
precision and zeroed gradients are left out. The counts hold where each row begins at key 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.hysparse.kernels.candidates.kinds import BACKWARD, OUTER, Layers
from benchmarks.hysparse.kernels.case import Case
from benchmarks.hysparse.kernels.hybrid_block import SparseKernels
from judgerlvr.hysparse.ops.triton.kv_outer import OuterOptions
from judgerlvr.hysparse.ops.triton.ordered_lists import OrderedLists
from judgerlvr.hysparse.ops.triton.overlap import SharedChoice
from judgerlvr.hysparse.ops.triton.reader_lists import ReaderLists
from judgerlvr.hysparse.ops.triton.union_tiles import UnionTiles

FLOAT = 4  # bytes


@dataclass(frozen=True)
class Cost:
    """Executed operations, and bytes that programs read or write through the L2 cache."""

    flops: float
    moved: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.flops + other.flops, self.moved + other.moved)


@dataclass(frozen=True)
class Sizes:
    """Heads of a group, tokens of a block, elements of a row, bytes of an element, query rows and key rows."""

    group: int
    block: int
    dim: int
    item: int
    queries: int
    keys: int

    @classmethod
    def of(cls, case: Case) -> Sizes:
        q, k, _ = case.inputs
        return cls(case.group, case.options.block, q.shape[3], q.itemsize, q.shape[:3].numel(), k.shape[:3].numel())

    @property
    def product(self) -> float:
        """Operations of a query row and a block."""
        return 2.0 * self.block * self.dim

    @property
    def row(self) -> int:
        """Bytes of a row in half precision."""
        return self.dim * self.item

    @property
    def tile(self) -> int:
        """Bytes of a block's keys and values."""
        return 2 * self.block * self.row

    @property
    def gradients(self) -> int:
        """Bytes of the float32 gradients of a block's keys and values."""
        return 2 * self.block * self.dim * FLOAT


def forward_cost(case: Case, shared: Any, layers: SparseKernels) -> Cost:
    """Of the form that the forward pass takes for the queries of ``case``."""
    sizes, q = Sizes.of(case), case.inputs[0]
    if isinstance(shared, SharedChoice):
        shared = shared.form(q) if shared.serves(q) else shared.union
    if isinstance(shared, UnionTiles):
        return union_forward(shared, sizes)
    return outer_forward(shared, layers.chooser.forward if isinstance(layers, Layers) else OUTER, sizes)


def backward_cost(case: Case, shared: Any, layers: SparseKernels) -> Cost:
    """Of the backward pass alone."""
    sizes, q = Sizes.of(case), case.inputs[0]
    if not isinstance(shared, SharedChoice):
        return union_backward(shared, sizes)
    if not shared.serves(q):
        return union_backward(shared.union, sizes)
    form = shared.backward_form(q)
    if isinstance(form, UnionTiles):
        return union_backward(form, sizes)
    return outer_backward(form, layers.chooser.backward if isinstance(layers, Layers) else BACKWARD, sizes)


def union_forward(union: UnionTiles, sizes: Sizes) -> Cost:
    """A visit of a block by a tile reads the block and makes two products. Queries and outputs move once."""
    visits = visits_of(union)
    rows = visits * union.width * sizes.group
    return Cost(2 * rows * sizes.product, visits * sizes.tile + 2 * sizes.queries * sizes.row)


def union_backward(union: UnionTiles, sizes: Sizes) -> Cost:
    """Two kernels visit each pair of a tile and a block, and make three and four products.

    The first reads the block at each visit. The second reads the tile's queries and output gradients. Queries, output
    gradients and query gradients move once more, as do keys, values and the float32 gradients of keys and values.
    """
    visits = visits_of(union)
    rows = visits * union.width * sizes.group
    once = 3 * sizes.queries * sizes.row + sizes.keys * (2 * sizes.row + 2 * sizes.dim * FLOAT)
    return Cost(7 * rows * sizes.product, visits * sizes.tile + 2 * rows * sizes.row + once)


def visits_of(union: UnionTiles) -> float:
    return float(union.count.double().sum().item())


def outer_forward(lists: ReaderLists, options: OuterOptions, sizes: Sizes) -> Cost:
    """A pair's rows are read once as queries, written once as partials and read once by the merge."""
    live, rows, tasks = load(lists, options, sizes)
    return Cost(2 * rows * sizes.product, tasks * sizes.tile + (3 * live + sizes.queries) * sizes.row)


def outer_backward(ordered: OrderedLists, options: OuterOptions, sizes: Sizes) -> Cost:
    """Five products for each row of a tile. Padded rows are loaded too, as queries and as output gradients.

    A pair's part of the query gradient is written once and read once. A block's first task reads and writes the block's
    float32 gradients. A further task writes gradients of its own, which a sum reads. Each sum adds to its block once.
    """
    live, rows, tasks = load(ordered.lists, options, sizes)
    further = int((ordered.slot >= 0).sum())
    sums = int((ordered.follower[:further] >= 0).sum())
    moved = tasks * sizes.tile + (2 * rows + 2 * live + sizes.queries) * sizes.row
    return Cost(5 * rows * sizes.product, moved + 2 * (tasks + sums) * sizes.gradients)


def load(lists: ReaderLists, options: OuterOptions, sizes: Sizes) -> tuple[int, int, int]:
    """Rows of pairs, rows of tiles with their padding, and tasks."""
    readers, each = max(1, options.rows // sizes.group), lists.size.long()
    tiles = int(((each + readers - 1) // readers).sum())
    return int(each.sum()) * sizes.group, tiles * readers * sizes.group, len(each)
