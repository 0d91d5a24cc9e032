"""How much of a policy training has changed, as far as the published dtype shows."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch

from judgerlvr.export.layout import CHUNK
from judgerlvr.export.tensors import Tensors


@dataclass(frozen=True)
class Change:
    """``differing`` of the ``compared`` weights are not the base's, rounded alike; ``total`` weights were exported."""

    differing: int
    compared: int
    total: int

    @property
    def share(self) -> float | None:
        """Share of the compared weights, 0 to 1; None where the base's file has no such tensors."""
        return self.differing / self.compared if self.compared else None

    def __str__(self) -> str:
        if self.share is None:
            return "weights not compared: the base names its tensors otherwise"
        rest = self.total - self.compared
        text = f"{100 * self.share:.2f} % of {self.compared:,} weights differ from the base's"
        return text + (f", {rest:,} have no counterpart there" if rest else "")


def change(export: Path, base: Path) -> Change:
    """Compare each tensor of the export with the base's tensor of that name, in the export's dtype."""
    ours, theirs = Tensors(export), Tensors(base)
    compared = differing = total = 0
    for name in ours:
        shape = ours.shape(name)
        total += prod(shape)
        if name in theirs and theirs.shape(name) == shape:
            compared += prod(shape)
            differing += sum(_differing(ours, theirs, name, part) for part in _parts(shape))
    return Change(differing, compared, total)


def _parts(shape: tuple[int, ...]) -> list[list[slice]]:
    """Slices along the first dimension, about ``CHUNK`` elements each: memory does not grow with the tensor."""
    if not shape:
        return [[]]
    step = max(1, CHUNK * shape[0] // max(1, prod(shape)))
    rest = [slice(None)] * (len(shape) - 1)
    return [[slice(low, min(low + step, shape[0])), *rest] for low in range(0, shape[0], step)]


def _differing(ours: Tensors, theirs: Tensors, name: str, part: list[slice]) -> int:
    left = ours.part(name, part)
    # Both sides are compared in the export's dtype, else rounding alone would count as change.
    return int(torch.count_nonzero(left != theirs.part(name, part).to(left.dtype)))
