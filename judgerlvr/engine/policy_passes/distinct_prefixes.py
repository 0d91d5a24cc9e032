"""Each distinct prefix of a forward pass is computed once.

The samples of a prompt begin with the same tokens, and sampled responses often agree for a while. A causal policy's
state at a token depends on the tokens up to there alone. So all layers but attention see one row for each distinct
prefix, and attention reads the rows of each sequence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from judgerlvr.hysparse.ops.buckets import Buckets


@dataclass(frozen=True)
class DistinctPrefixes:
    """The prefixes of a packed row of ``tokens`` tokens.

    ``kept`` int [prefixes] is the first token of the row that ends each prefix. ``of_token`` int [tokens] is the prefix
    that ends at each token. ``position_ids`` int [1, tokens] covers the whole row.
    """

    kept: Tensor
    of_token: Tensor
    position_ids: Tensor

    def narrow(self, buckets: Buckets) -> Buckets:
        """Buckets of the whole row that read from prefixes and give back prefixes."""
        return replace(buckets, tokens=self.of_token[buckets.tokens], places=buckets.places[self.kept])

    def widen(self, states: Tensor) -> Tensor:
        """[1, heads, prefixes, dim] to [1, heads, tokens, dim]."""
        return states.index_select(2, self.of_token)


def distinct_prefixes(input_ids: Tensor, position_ids: Tensor) -> DistinctPrefixes:
    """``input_ids`` and ``position_ids`` int [1, tokens] of a packed row, with position 0 where a sequence starts."""
    known: dict[tuple[int, int], int] = {}
    kept, of_token, prefix = [], [], -1
    tokens = zip(input_ids[0].tolist(), position_ids[0].tolist(), strict=True)
    for place, (token, position) in enumerate(tokens):
        before = len(known)
        prefix = known.setdefault((prefix if position else -1, token), before)
        if prefix == before:
            kept.append(place)
        of_token.append(prefix)
    device = input_ids.device
    return DistinctPrefixes(torch.tensor(kept, device=device), torch.tensor(of_token, device=device), position_ids)
