"""Which part of a tensor FSDP2 gives to which rank, as rectangles of indices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from torch import Tensor
from torch.distributed.tensor import DTensor, Shard

# Elements compared at a time: memory does not grow with the tensor, and smaller chunks cost more in calls than in work.
CHUNK = 1 << 20


@dataclass(frozen=True)
class Box:
    """A rectangle of a tensor's indices: ``low`` to below ``high`` in each dimension."""

    low: tuple[int, ...]
    high: tuple[int, ...]

    def common(self, other: Box) -> Box:
        low = tuple(map(max, self.low, other.low))
        return Box(low, tuple(map(max, low, map(min, self.high, other.high))))

    @property
    def lengths(self) -> tuple[int, ...]:
        return tuple(high - low for low, high in zip(self.low, self.high, strict=True))

    @property
    def size(self) -> int:
        return prod(self.lengths)

    def within(self, outer: Box) -> list[slice]:
        """Slices that cut this rectangle out of the tensor of ``outer``, which holds it."""
        spans = zip(self.low, self.high, outer.low, strict=True)
        return [slice(low - corner, high - corner) for low, high, corner in spans]

    def chunks(self, elements: int) -> Iterator[Box]:
        """Parts of about ``elements`` elements, cut along the first dimension that is longer than 1."""
        dim = next((dim for dim, length in enumerate(self.lengths) if length > 1), None)
        if dim is None or self.size <= elements:
            yield self
            return
        # At least a row, since a single row may hold more elements than asked for.
        step = max(1, elements * self.lengths[dim] // self.size)
        for low in range(self.low[dim], self.high[dim], step):
            yield self._cut(dim, low, min(low + step, self.high[dim]))

    def _cut(self, dim: int, low: int, high: int) -> Box:
        return Box((*self.low[:dim], low, *self.low[dim + 1 :]), (*self.high[:dim], high, *self.high[dim + 1 :]))


def whole_box(shape: Sequence[int]) -> Box:
    """All indices of a tensor."""
    return Box((0,) * len(shape), tuple(shape))


def held_by(value: Tensor, rank: int) -> tuple[Box, bool]:
    """The part that FSDP's rule gives to a rank, and whether a rank before holds the same part."""
    # Plain tensors are whole on each rank, and the copy of rank 0 counts.
    if not isinstance(value, DTensor):
        return whole_box(value.shape), rank > 0
    mesh = value.device_mesh.mesh
    low, high, is_copy = [0] * value.ndim, list(value.shape), False
    for place, ranks, placement in zip((mesh == rank).nonzero()[0].tolist(), mesh.shape, value.placements, strict=True):
        if isinstance(placement, Shard):
            low[placement.dim], high[placement.dim] = _share(value.shape[placement.dim], ranks, place)
        else:
            is_copy |= place > 0
    return Box(tuple(low), tuple(high)), is_copy


def _share(rows: int, ranks: int, rank: int) -> tuple[int, int]:
    """FSDP2's rule: equal parts, rounded up; the last ranks may get fewer rows or none."""
    each = -(-rows // ranks)
    return min(rank * each, rows), min((rank + 1) * each, rows)
