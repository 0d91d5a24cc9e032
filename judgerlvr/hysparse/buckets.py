"""A packed row's sequences regrouped into rectangular batches: attention over the row would be quadratic in the row.

Padding is on the right, where a causal query never looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Buckets:
    """Places of one row's tokens in batches of sequences whose lengths share a power of two.

    ``shapes`` (sequences, longest) of each batch. All batches' places follow one another: ``tokens`` [places] is the
    token at each, the row's first on padding, and ``places`` [tokens] the place of each token.
    """

    shapes: list[tuple[int, int]]
    tokens: Tensor
    places: Tensor

    def split(self, row: Tensor) -> list[Tensor]:
        """[1, heads, tokens, dim] to [sequences, heads, longest, dim] of each batch."""
        placed = row[0].transpose(0, 1).index_select(0, self.tokens)
        parts = placed.split([count * longest for count, longest in self.shapes])
        return [part.unflatten(0, shape).transpose(1, 2) for part, shape in zip(parts, self.shapes, strict=True)]

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """Inverse of ``split``; what stands on padding is dropped."""
        placed = torch.cat([part.transpose(1, 2).flatten(0, 1) for part in parts])
        return placed.index_select(0, self.places).transpose(0, 1)[None]


def buckets_of(firsts: Tensor, tokens: int) -> Buckets:
    """Buckets of a row of ``tokens`` tokens whose sequences begin at ``firsts`` [sequences], ascending from 0."""
    lengths = torch.diff(firsts, append=firsts.new_tensor([tokens]))
    octaves = lengths.double().log2().floor()
    grids = [grid(firsts[octaves == octave], lengths[octaves == octave]) for octave in octaves.unique()]
    held = torch.cat([part.flatten() for part in grids])
    # Padding comes first in this order, and behind it the row's tokens.
    places = held.argsort(stable=True)[-tokens:]
    # What the first token sees, its own block alone, every place of a sequence sees.
    return Buckets([tuple(part.shape) for part in grids], held.clamp(min=0), places)


def grid(firsts: Tensor, lengths: Tensor) -> Tensor:
    """Token at each place of sequences [n] of one batch, [n, longest]; -1 on padding."""
    steps = torch.arange(int(lengths.max()), device=firsts.device)
    return torch.where(steps < lengths[:, None], firsts[:, None] + steps, -1)
