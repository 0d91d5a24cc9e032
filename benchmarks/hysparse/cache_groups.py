"""Groups into which vLLM 0.24 cuts the cached layers of a HySparse model on a GPU. Each has its own block table."""

from __future__ import annotations

import math
from dataclasses import dataclass

from judgerlvr.hysparse.model.config import HySparseConfig


@dataclass(frozen=True)
class CacheGroups:
    """Groups of ``layers`` layers each, empty places included.

    ``full`` groups keep all tokens of a request, and ``windows`` groups keep a window.
    """

    layers: int
    full: int
    windows: int

    @property
    def count(self) -> int:
        return self.full + self.windows


def cache_groups(config: HySparseConfig, two_kinds: bool = False) -> CacheGroups:
    """All groups have as many layers as the rarest kind of layer. Kinds of nearly one size take the commonest's count.

    ``two_kinds`` gives the groups of the records up to 2026-11-30. A full layer with sparse layers behind it runs on a
    backend of its own. vLLM 0.24 notes for each cache whether its backend finds a page by its stride. Our backend did
    not say so then, and full layers of the two backends were two kinds.
    """
    selecting = len(config.selecting_layers) if two_kinds else 0
    others = len(config.full_layers) - selecting
    windows = sum(row.window is not None for row in config.rows)
    kinds = [count for count in (selecting, others, windows) if count]
    layers = max(kinds) if max(kinds) < 1.5 * min(kinds) else min(kinds)
    full = math.ceil(selecting / layers) + math.ceil(others / layers)
    return CacheGroups(layers, full, math.ceil(windows / layers))
