"""The sequences of a packed row, regrouped into rectangular batches. Attention over the whole row would be quadratic in
the row.

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

    ``shapes`` holds (sequences, longest) of each batch. The places of all batches follow one another. ``tokens``
    [places] is the token at each place, and the row's first token on padding. ``places`` [tokens] is the place of each
    token.
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
        """Inverse of ``split``. Values on padding are dropped."""
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
    # Padding reads the row's first token. That token sees its own block only, which every place of a sequence sees too.
    return Buckets([tuple(part.shape) for part in grids], held.clamp(min=0), places)


def grid(firsts: Tensor, lengths: Tensor) -> Tensor:
    """Token at each place of the sequences [n] of one batch, [n, longest], with -1 on padding."""
    steps = torch.arange(int(lengths.max()), device=firsts.device)
    return torch.where(steps < lengths[:, None], firsts[:, None] + steps, -1)
