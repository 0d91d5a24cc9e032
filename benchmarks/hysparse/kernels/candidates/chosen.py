"""The kernel chosen by how much neighbouring queries share, so that much overlap is not slowed down."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from benchmarks.hysparse.kernels.candidates.kv_outer import OuterOptions
from benchmarks.hysparse.kernels.candidates.listed import Listed, Shared
from benchmarks.hysparse.kernels.candidates.mixed import MixedOptions
from benchmarks.hysparse.kernels.candidates.outer_backward import BackwardOptions
from judgerlvr.hysparse.ops.triton import attention
from judgerlvr.hysparse.ops.triton.union_tiles import UnionTiles, mean_union
from judgerlvr.hysparse.segments import Segments

# The fastest of each kind on an H200.
OUTER = OuterOptions(span=8192, stages=3)
MIXED = MixedOptions(tile_stages=2, tile_registers=168, outer=OuterOptions(span=8192))


@dataclass(frozen=True)
class Thresholds:
    """Spreads from which ``mixed`` and ``outer`` are taken, and ``queries`` below which the present kernel always is.

    The spread is the mean union of a tile over the blocks of one query: 1 if all queries of a tile agree. Calculated
    from an H200's times at 16 blocks, linear in the union: with a third of the preparation, ``mixed`` overtakes the
    present kernel at unions of 40, 42 and 44 blocks at 32k, 64k and 128k. ``outer`` overtakes ``mixed`` at 119, 137
    and 136 blocks. All of this holds for 4 query heads a KV head. Other groups are not measured.
    """

    mixed: float = 2.6
    outer: float = 8.0
    queries: int = 8192


@dataclass(frozen=True)
class Chooser:
    """Kernels of sparse layers that choose once for all sparse layers after a full layer.

    The choice reads one number back from the device. The host waits until the full layer and its selection have run,
    and the device is then idle until the next launch arrives, some 50 microseconds [estimated]. The full layer takes
    13 ms at 32k. The row "prepare chosen" holds the wait for the union, but no full layer.
    """

    mixed: Listed = field(default_factory=lambda: Listed(MIXED))
    outer: Listed = field(default_factory=lambda: Listed(OUTER))
    thresholds: Thresholds = field(default_factory=Thresholds)

    @classmethod
    def with_backward(cls, backward: BackwardOptions, thresholds: Thresholds) -> Chooser:
        return cls(Listed(MIXED, backward), Listed(OUTER, backward), thresholds)

    def share(self, indices: Tensor, segments: Segments, block: int, group: int) -> UnionTiles | Shared:
        """The present kernel's union, or the lists of a candidate."""
        union = attention.share(indices, segments, block, group)
        if indices.shape[2] < self.thresholds.queries:
            return union
        spread = mean_union(union) / indices.shape[-1]
        if spread < self.thresholds.mixed:
            return union
        # In tiles of fewer queries than ``least``, nothing goes through the union.
        split = spread < self.thresholds.outer and union.width >= MIXED.least
        taken = self.mixed if split else self.outer
        return taken.share(indices, segments, block, group)

    def sparse_attention(
        self, q: Tensor, k: Tensor, v: Tensor, shared: UnionTiles | Shared, segments: Segments, block: int,
        sinks: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """See ``attention.sparse_attention``. ``shared`` is the result of ``share``."""
        if isinstance(shared, UnionTiles):
            return attention.sparse_attention(q, k, v, shared, segments, block, sinks)
        return self.mixed.sparse_attention(q, k, v, shared, segments, block, sinks)
