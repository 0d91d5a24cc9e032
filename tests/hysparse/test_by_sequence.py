"""The operations over a packed row's sequences, regrouped, against the reference over the whole row."""

from itertools import pairwise

import pytest
import torch

from judgerlvr.hysparse.ops import reference
from judgerlvr.hysparse.ops.buckets import buckets_of
from judgerlvr.hysparse.ops.by_sequence import packing
from judgerlvr.hysparse.ops.dispatch import REFERENCE_OPERATIONS
from judgerlvr.hysparse.ops.segments import from_lengths, from_mask, whole
from judgerlvr.hysparse.ops.selection import Selection
from tests.helpers.hysparse_loops import crowded_share

LENGTHS = [70, 1, 200, 33, 64, 2, 63, 16, 127]
TOTAL, HEADS, KV_HEADS, DIM = sum(LENGTHS), 4, 2, 8
SELECTION, WINDOW = Selection(8, 3, first=1), 11
SEGMENTS = from_lengths(torch.tensor([0, *LENGTHS]).cumsum(0), TOTAL)


def tensors(sinks, segments=SEGMENTS):
    """q, k, v and sinks or None, float64, with gradients."""
    draw = torch.Generator().manual_seed(0)
    shapes = [(HEADS, TOTAL, DIM), (KV_HEADS, TOTAL, DIM), (KV_HEADS, TOTAL, DIM)]
    made = [torch.randn(1, *shape, generator=draw, dtype=torch.float64).requires_grad_() for shape in shapes]
    bias = torch.randn(HEADS, generator=draw, dtype=torch.float64).requires_grad_()
    return [*made, bias if sinks else None]


def given_indices():
    """Indices as a replay passes them: each row's own block and, at random, further ones that it sees."""
    draw = torch.Generator().manual_seed(1)
    own = SEGMENTS.positions[:, None, :, None] // SELECTION.block
    others = (torch.rand(1, KV_HEADS, TOTAL, 2, generator=draw) * own).long()
    indices = torch.cat([others, own.expand(1, KV_HEADS, -1, -1)], dim=-1).sort(dim=-1).values
    repeated = torch.nn.functional.pad(indices.diff(dim=-1) == 0, (1, 0))
    return indices.masked_fill(repeated, -1).to(torch.int32)


def results(module, sinks):
    """Every operation's output, the chosen indices, and gradients of a sum that all outputs enter."""
    q, k, v, bias = tensors(sinks)
    causal = module.causal_attention(q, k, v, SEGMENTS, bias)
    full, indices = module.full_attention_with_selection(q, k, v, SEGMENTS, SELECTION, bias)
    own = module.sparse_attention(q, k, v, indices, SEGMENTS, SELECTION.block, bias)
    replayed = module.sparse_attention(q, k, v, given_indices(), SEGMENTS, SELECTION.block, bias)
    near = module.window_attention(q, k, v, SEGMENTS, WINDOW, bias)
    outs = torch.stack([causal, full, own, replayed, near])
    weights = torch.randn(outs.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    inputs = [tensor for tensor in (q, k, v, bias) if tensor is not None]
    return outs, indices, torch.autograd.grad((outs * weights).sum(), inputs)


@pytest.mark.parametrize("sinks", [False, True])
def test_outputs_indices_and_gradients_are_the_references(sinks):
    assert crowded_share(SEGMENTS, SELECTION) >= 0.5
    torch.testing.assert_close(results(REFERENCE_OPERATIONS, sinks), results(reference, sinks), rtol=1e-10, atol=1e-12)


def test_given_indices_differ_from_the_own_choice():
    """Guards the test above: the replayed ones must be a selection of their own."""
    q, k, v, _ = tensors(False)
    own = reference.full_attention_with_selection(q, k, v, SEGMENTS, SELECTION)[1]
    assert (own != given_indices()).any(dim=-1).double().mean() > 0.2


def test_a_row_whose_padding_stands_before_it():
    mask = torch.ones(1, TOTAL, dtype=torch.long)
    mask[0, :40] = 0
    q, k, v, _ = tensors(False)
    pair = [module.causal_attention(q, k, v, from_mask(mask, TOTAL)) for module in (REFERENCE_OPERATIONS, reference)]
    torch.testing.assert_close(*pair)


@pytest.mark.parametrize("segments", [whole(1, 9), whole(1, 3, offset=6), whole(2, 9)], ids=["one", "cached", "batch"])
def test_there_is_nothing_to_regroup(segments):
    assert packing(segments) is None


def test_a_row_is_regrouped_once():
    assert packing(SEGMENTS) is packing(SEGMENTS)


def test_every_token_has_a_place_and_a_batch_at_most_doubles_its_shortest_sequence():
    cuts = [0, *torch.tensor(LENGTHS).cumsum(0).tolist()]
    buckets = buckets_of(torch.tensor(cuts[:-1]), TOTAL)
    assert torch.equal(buckets.tokens[buckets.places], torch.arange(TOTAL))
    found = torch.zeros(TOTAL)
    for where in buckets.split(torch.arange(TOTAL)[None, None, :, None]):
        for row in where[:, 0, :, 0].tolist():
            begin, end = next(pair for pair in pairwise(cuts) if pair[0] == row[0])
            assert row[: end - begin] == list(range(begin, end)) and len(row) < 2 * (end - begin)
            found[begin:end] += 1
    assert found.eq(1).all()
