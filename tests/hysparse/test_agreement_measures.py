"""Agreement of block choices against sets in loops."""

import pytest
import torch

from judgerlvr.hysparse.agreement.measures import agreement, split_difference
from judgerlvr.hysparse.ops.selection import Selection

SELECTION = Selection(block=4, count=2)


def choices(seed, layers=2, tokens=20, heads=3):
    """Two random ascending block numbers of those a token sees, padded with -1."""
    draw = torch.Generator().manual_seed(seed)
    found = torch.full((layers, tokens, heads, 2), -1)
    for layer in range(layers):
        for token in range(tokens):
            for head in range(heads):
                blocks = torch.randperm(token // 4 + 1, generator=draw)[:2].sort().values
                found[layer, token, head, : len(blocks)] = blocks
    return found


def test_equals_comparing_sets_one_by_one():
    one, other = choices(0), choices(1)
    found = agreement(one, other, SELECTION)
    same = {
        (layer, token, head): set(one[layer, token, head].tolist()) == set(other[layer, token, head].tolist())
        for layer in range(2)
        for token in range(20)
        for head in range(3)
    }
    crowded = [token for token in range(20) if token // 4 + 1 > 2]
    judged = [equal for (_, token, _), equal in same.items() if token in crowded]
    assert found.crowded == len(crowded) / 20 == 0.6
    assert found.equal == pytest.approx(sum(judged) / len(judged)) and 0 < found.equal < 1
    differing = [any(not equal for (_, row, _), equal in same.items() if row == token) for token in range(20)]
    assert found.differing.tolist() == differing


def test_a_missing_token_is_an_error():
    with pytest.raises(ValueError, match="rollout has indices"):
        agreement(choices(0)[:, 1:], choices(0), SELECTION)


def test_difference_is_split_by_rows():
    ours, theirs = torch.tensor([-1.0, -2.0, -3.0]), torch.tensor([-1.5, -2.0, -5.0])
    assert split_difference(ours, theirs, torch.tensor([False, False, True])) == {"agreeing": 0.25, "differing": 2.0}
    assert set(split_difference(ours, theirs, torch.zeros(3, dtype=torch.bool))) == {"agreeing"}
