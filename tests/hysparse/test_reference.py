"""The reference operations against float64 loops that treat one query and one key at a time."""

import pytest
import torch

from judgerlvr.hysparse.model.gates import apply_gate
from judgerlvr.hysparse.ops import reference
from judgerlvr.hysparse.ops.segments import Segments, from_lengths, from_mask, whole
from judgerlvr.hysparse.ops.selection import Selection, group_scores, select_blocks
from tests.helpers.hysparse_loops import crowded_share, loop_full, loop_selection, loop_sparse, loop_window

LENGTH, DIM = 40, 8


def case(heads, kv_heads, segments: Segments, sinks, seed=0, dim=DIM):
    """Random float64 q, k, v and sinks for the queries and keys of ``segments``."""
    draw = torch.Generator().manual_seed(seed)
    batch, queries = segments.starts.shape
    q = 2 * torch.randn(batch, heads, queries, dim, generator=draw, dtype=torch.float64)
    k, v = torch.randn(2, batch, kv_heads, segments.keys, dim, generator=draw, dtype=torch.float64)
    return q, k, v, torch.randn(heads, generator=draw, dtype=torch.float64) if sinks else None


SEGMENTS = {
    "whole": whole(1, LENGTH),
    "packed": from_lengths(torch.tensor([0, 33, 34, 34, 67]), 70),
    "left padded": from_mask(torch.tensor([[0] * 6 + [1] * 34, [1] * 40]), LENGTH),
    "cached": whole(1, 9, offset=31),
}
SELECTIONS = [Selection(4, 3), Selection(3, 4, first=1, local=2), Selection(1, 6, local=3)]


@pytest.mark.parametrize("name", SEGMENTS)
@pytest.mark.parametrize("selection", SELECTIONS, ids=str)
@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (4, 2), (4, 1)])
@pytest.mark.parametrize("sinks", [False, True])
def test_full_and_sparse_attention_match_loops(name, selection, heads, kv_heads, sinks):
    segments = SEGMENTS[name]
    q, k, v, bias = case(heads, kv_heads, segments, sinks)
    assert crowded_share(segments, selection) >= 0.5

    out, indices = reference.full_attention_with_selection(q, k, v, segments, selection, bias)
    expected, probabilities = loop_full(q, k, v, segments, bias)
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-12)

    chosen = loop_selection(probabilities, q.shape[:3], kv_heads, segments, selection)
    assert {key: [i for i in indices[key].tolist() if i >= 0] for key in chosen} == chosen

    shared = reference.sparse_attention(q, k, v, indices, segments, selection.block, bias)
    torch.testing.assert_close(
        shared, loop_sparse(q, k, v, chosen, segments, selection.block, bias), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("name", SEGMENTS)
@pytest.mark.parametrize("sinks", [False, True])
def test_window_attention_matches_a_loop(name, sinks):
    segments = SEGMENTS[name]
    q, k, v, bias = case(4, 2, segments, sinks)
    expected = loop_window(q, k, v, segments, 7, bias)
    torch.testing.assert_close(reference.window_attention(q, k, v, segments, 7, bias), expected, rtol=1e-10, atol=1e-12)


def test_window_attention_needs_the_newest_keys_only():
    segments = SEGMENTS["cached"]
    q, k, v, bias = case(4, 2, segments, True)
    newest = slice(segments.offset - 6, None)
    torch.testing.assert_close(
        reference.window_attention(q, k[:, :, newest], v[:, :, newest], segments, 7, bias),
        reference.window_attention(q, k, v, segments, 7, bias),
    )


def test_block_maxima_are_the_printed_probabilities():
    segments = SEGMENTS["packed"]
    q, k, v, bias = case(4, 2, segments, True)
    full = reference.full_attention(q, k, v, segments, 4, bias)
    printed = reference.block_probabilities(full, kv_heads=2)
    logged = group_scores(full.block_max, full.lse, kv_heads=2)
    torch.testing.assert_close(printed.log(), logged, rtol=1e-10, atol=1e-10)
    own = segments.positions // 4
    assert torch.equal(select_blocks(printed, own, SELECTIONS[0]), select_blocks(logged, own, SELECTIONS[0]))


def test_enough_blocks_give_full_attention():
    segments = SEGMENTS["packed"]
    q, k, v, bias = case(4, 2, segments, True)
    out, indices = reference.full_attention_with_selection(q, k, v, segments, Selection(4, 20), bias)
    torch.testing.assert_close(reference.sparse_attention(q, k, v, indices, segments, 4, bias), out)


def test_sinks_of_minus_infinity_are_a_plain_softmax():
    segments = SEGMENTS["whole"]
    q, k, v, _ = case(4, 2, segments, False)
    none = torch.full((4,), -torch.inf, dtype=torch.float64)
    plain = reference.window_attention(q, k, v, segments, 7)
    torch.testing.assert_close(reference.window_attention(q, k, v, segments, 7, none), plain)


def test_gates_isolate_the_branches():
    out = torch.randn(1, 4, 5, DIM)
    per_head = torch.tensor([200.0, -200.0, 200.0, 200.0]).expand(1, 5, 4)
    gated = apply_gate(out, per_head)
    assert torch.equal(gated[:, [0, 2, 3]], out[:, [0, 2, 3]])
    assert gated[:, 1].abs().max() == 0


def test_selected_blocks_are_best_by_maximum_not_by_mass():
    scores = torch.tensor([[[[0.5, 0.1, 0.4, 0.3]]]]).log()
    picked = select_blocks(scores, torch.tensor([[3]]), Selection(4, 2))
    assert picked.flatten().tolist() == [0, 2]


def test_equal_scores_go_to_the_lower_block():
    picked = select_blocks(torch.zeros(1, 1, 1, 9), torch.tensor([[8]]), Selection(4, 3))
    assert picked.flatten().tolist() == [0, 1, 2]


def test_missing_blocks_are_padded_with_minus_one():
    picked = select_blocks(torch.zeros(1, 1, 1, 2), torch.tensor([[0]]), Selection(4, 4))
    assert picked.dtype == torch.int32
    assert picked.flatten().tolist() == [0, -1, -1, -1]


def test_gradients_of_two_sparse_layers_reach_the_shared_keys_and_values():
    """gradcheck through K, V that a full layer and two sparse layers use, with selection held fixed."""
    segments, selection = whole(1, 8), Selection(2, 1)
    assert crowded_share(segments, selection) >= 0.5
    q, k, v, sinks = case(2, 1, segments, True, dim=3)
    others = [case(2, 1, segments, False, seed, dim=3)[0] for seed in (1, 2)]
    indices = reference.full_attention_with_selection(q, k, v, segments, selection)[1]

    def stack(q, k, v, first, second, sinks):
        out = reference.full_attention(q, k, v, segments, selection.block).out
        for query in (first, second):
            out = out + reference.sparse_attention(query, k, v, indices, segments, selection.block, sinks)
        return out

    inputs = [x.requires_grad_() for x in (q, k, v, *others, sinks)]
    assert torch.autograd.gradcheck(stack, inputs)


def test_keys_of_a_block_that_nobody_chose_get_no_gradient():
    segments = whole(1, 24)
    q, k, v, _ = case(2, 1, segments, False)
    k.requires_grad_()
    indices = torch.where(torch.arange(24) >= 8, 2, 0).view(1, 1, 24, 1)
    reference.sparse_attention(q, k, v, indices, segments, 4).sum().backward()
    assert k.grad[:, :, 4:8].abs().max() == 0
    assert k.grad[:, :, :4].abs().max() > 0
