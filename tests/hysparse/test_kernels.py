"""Triton kernels against the reference with the same indices, on the GPU or under Triton's interpreter.

Runs where triton is installed; on a CPU set TRITON_INTERPRET=1 (scripts/test_kernels.sh makes the environment).
"""

import os

import pytest
import torch

from tests.helpers.hysparse_loops import crowded_share

pytest.importorskip("triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("no GPU, and TRITON_INTERPRET is not 1", allow_module_level=True)

from judgerlvr.hysparse.ops import reference  # noqa: E402
from judgerlvr.hysparse.ops.segments import Segments, from_lengths, from_mask, whole  # noqa: E402
from judgerlvr.hysparse.ops.selection import Selection, group_scores, select_blocks  # noqa: E402
from judgerlvr.hysparse.ops.triton import attention  # noqa: E402
from judgerlvr.hysparse.ops.triton import selection as blocks  # noqa: E402
from judgerlvr.hysparse.ops.triton.union_tiles import queries_a_tile, union_tiles  # noqa: E402

# Triton's interpreter multiplies bfloat16 matrices as if they held integers.
HALF = torch.bfloat16 if DEVICE == "cuda" else torch.float16
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
SELECTION = Selection(16, 3)
SEGMENTS = {
    "whole": whole(2, 150),
    "packed": from_lengths(torch.tensor([0, 110, 111, 120, 229]), 230),
    "left padded": from_mask(torch.tensor([[0] * 5 + [1] * 145, [1] * 150]), 150),
    "cached": whole(1, 9, offset=131),
    "short": whole(1, 5),
    "expanded": Segments(torch.tensor([[3], [0]]).expand(-1, 70), 40),
}


def case(segments: Segments, heads=4, kv_heads=2, dim=16, keys=None, dtype=torch.float32):
    """q, k, v, sinks and an output gradient. The queries are large enough to make attention peaked."""
    draw = torch.Generator().manual_seed(0)
    batch, queries = segments.starts.shape
    q, grad = torch.randn(2, batch, heads, queries, dim, generator=draw)
    k, v = torch.randn(2, batch, kv_heads, keys or segments.keys, dim, generator=draw)
    tensors = (2 * q, k, v, torch.randn(heads, generator=draw), grad)
    return [tensor.to(DEVICE, torch.float32 if tensor.ndim == 1 else dtype) for tensor in tensors]


def on_device(segments: Segments):
    return Segments(segments.starts.to(DEVICE), segments.offset)


def outcome(operation, q, k, v, sinks, grad, *arguments):
    """Output and gradients of q, k, v and sinks."""
    inputs = [tensor.detach().requires_grad_() for tensor in (q, k, v, sinks)]
    out = operation(*inputs[:3], *arguments, inputs[3])
    return out, *torch.autograd.grad(out, inputs, grad)


def first_of_pair(operation):
    return lambda *arguments: operation(*arguments)[0]


@pytest.mark.parametrize("name", SEGMENTS)
def test_full_attention_and_its_selection(name):
    segments = on_device(SEGMENTS[name])
    assert name == "short" or crowded_share(segments, SELECTION) >= 0.5
    tensors = case(segments)
    ours, theirs = (first_of_pair(module.full_attention_with_selection) for module in (attention, reference))
    torch.testing.assert_close(
        outcome(ours, *tensors, segments, SELECTION), outcome(theirs, *tensors, segments, SELECTION), **CLOSE
    )
    q, k, v, sinks, _ = tensors
    indices = attention.full_attention_with_selection(q, k, v, segments, SELECTION, sinks)[1]
    assert torch.equal(indices, reference.full_attention_with_selection(q, k, v, segments, SELECTION, sinks)[1])


def test_selection_does_not_depend_on_the_chunking(monkeypatch):
    segments = on_device(SEGMENTS["packed"])
    q, k, v, sinks, _ = case(segments)
    at_once = attention.full_attention_with_selection(q, k, v, segments, SELECTION, sinks)
    monkeypatch.setattr(attention, "MAXIMA_BYTES", 1)
    torch.testing.assert_close(attention.full_attention_with_selection(q, k, v, segments, SELECTION, sinks), at_once)


@pytest.mark.parametrize("name", SEGMENTS)
def test_sparse_attention(name):
    segments = on_device(SEGMENTS[name])
    tensors = case(segments)
    indices = chosen_indices(segments, tensors)
    arguments = (*tensors, indices, segments, SELECTION.block)
    torch.testing.assert_close(
        outcome(attention.sparse_attention, *arguments), outcome(reference.sparse_attention, *arguments), **CLOSE
    )


@pytest.mark.parametrize(("heads", "kv_heads", "dim"), [(2, 2, 64), (4, 1, 16), (8, 1, 16), (16, 1, 128)])
def test_sparse_attention_for_other_groups_and_head_dims(heads, kv_heads, dim):
    segments = on_device(whole(1, 100))
    assert crowded_share(segments, SELECTION) >= 0.5
    tensors = case(segments, heads, kv_heads, dim)
    arguments = (*tensors, chosen_indices(segments, tensors), segments, SELECTION.block)
    torch.testing.assert_close(
        outcome(attention.sparse_attention, *arguments), outcome(reference.sparse_attention, *arguments), **CLOSE
    )


def chosen_indices(segments, tensors):
    q, k, v, _, _ = tensors
    return reference.full_attention_with_selection(q, k, v, segments, SELECTION)[1]


def test_gradients_of_shared_keys_repeat_bitwise():
    """Block 0 is chosen by all queries and block 1 by none."""
    segments = on_device(whole(1, 100))
    tensors = case(segments)
    own = segments.positions // SELECTION.block
    indices = torch.stack([torch.zeros_like(own), own.where(own > 1, -1)], -1).int()[:, None].expand(-1, 2, -1, -1)
    arguments = (*tensors, indices, segments, SELECTION.block)
    first, second = (outcome(attention.sparse_attention, *arguments) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert first[2][:, :, 16:32].abs().max() == 0
    torch.testing.assert_close(first, outcome(reference.sparse_attention, *arguments), **CLOSE)


@pytest.mark.parametrize("name", SEGMENTS)
def test_window_attention(name):
    segments = on_device(SEGMENTS[name])
    tensors = case(segments)
    arguments = (*tensors, segments, 20)
    torch.testing.assert_close(
        outcome(attention.window_attention, *arguments), outcome(reference.window_attention, *arguments), **CLOSE
    )


def test_window_attention_over_a_window_cache():
    segments = on_device(SEGMENTS["cached"])
    arguments = (*case(segments, keys=19 + 9), segments, 20)
    torch.testing.assert_close(
        outcome(attention.window_attention, *arguments), outcome(reference.window_attention, *arguments), **CLOSE
    )


def test_sinks_of_minus_infinity_and_none_agree():
    segments = on_device(SEGMENTS["whole"])
    q, k, v, sinks, _ = case(segments)
    without = attention.causal_attention(q, k, v, segments)
    torch.testing.assert_close(
        attention.causal_attention(q, k, v, segments, torch.full_like(sinks, -torch.inf)), without
    )


@pytest.mark.parametrize("shared_in_float32", [False, True])
def test_half_precision_stays_within_a_hundredth_of_float32(shared_in_float32):
    segments = on_device(whole(1, 100))
    exact = case(segments, dim=64)
    indices = chosen_indices(segments, exact)
    half = [t if t.ndim == 1 else t.to(HALF) for t in exact]
    rounded = [t.float() for t in half]
    if shared_in_float32:
        half[1:3] = rounded[1:3]
    got = outcome(attention.sparse_attention, *half, indices, segments, SELECTION.block)
    assert [got[0].dtype, got[2].dtype] == [HALF, half[1].dtype]
    expected = outcome(reference.sparse_attention, *rounded, indices, segments, SELECTION.block)
    errors = [((a.float() - b).norm() / b.norm()).item() for a, b in zip(got, expected, strict=True)]
    assert max(errors) <= 1e-2


@pytest.mark.parametrize("name", SEGMENTS)
def test_union_kernel_gives_what_its_twin_gives(name):
    segments = on_device(SEGMENTS[name])
    indices = chosen_indices(segments, case(segments))
    ours = attention.share(indices, segments, SELECTION.block, 2)
    theirs = union_tiles(indices, segments, SELECTION.block, ours.width)
    held = torch.arange(theirs.begin.shape[-1], device=DEVICE) < theirs.count[..., None]
    assert torch.equal(ours.count, theirs.count)
    assert torch.equal(ours.begin, theirs.begin)
    assert torch.equal(ours.bits[held], theirs.bits[held])


@pytest.mark.parametrize("most_held", [0, blocks.MOST_HELD])
@pytest.mark.parametrize("selection", [Selection(16, 4, first=1), Selection(16, 4, local=2), Selection(16, 8, 1, 1)])
def test_selection_kernels_force_blocks_and_break_ties_as_the_reference(selection, most_held, monkeypatch):
    """Logits of 0 make all scores of a query equal. Rows of more blocks than are held are sorted."""
    monkeypatch.setattr(blocks, "MOST_HELD", most_held)
    segments = on_device(SEGMENTS["packed"])
    for scale in (0, 1):
        q, k, v, sinks, _ = case(segments)
        indices, expected = (
            module.full_attention_with_selection(q * scale, k, v, segments, selection, sinks)[1]
            for module in (attention, reference)
        )
        assert torch.equal(indices, expected)


@pytest.mark.parametrize("width", [1, 16])
def test_gated_sum(width):
    """A gate an element and a gate a head. 37 tokens fill no tile."""
    draw = torch.Generator().manual_seed(0)
    shapes = [(2, 3, 37, 16)] * 2 + [(2, 37, 3 * width)] * 2
    one, other, *gates = (torch.randn(s, generator=draw).to(DEVICE).requires_grad_() for s in shapes)
    weights = [gate.sigmoid().unflatten(-1, (3, width)).transpose(1, 2) for gate in gates]
    expected = one * weights[0] + other * weights[1]
    got = attention.gated_sum(one, other, *gates)
    torch.testing.assert_close(got, expected, **CLOSE)
    grad = torch.randn(expected.shape, generator=draw).to(DEVICE)
    inputs = (one, other, *gates)
    torch.testing.assert_close(
        torch.autograd.grad(got, inputs, grad), torch.autograd.grad(expected, inputs, grad), **CLOSE
    )


@pytest.mark.parametrize("most_held", [0, blocks.MOST_HELD])
def test_selection_among_many_blocks(most_held, monkeypatch):
    """Scores on a coarse grid, many equal. 100 blocks, 21 queries from the 1,500th on, some of few blocks."""
    monkeypatch.setattr(blocks, "MOST_HELD", most_held)
    draw = torch.Generator().manual_seed(0)
    selection, queries, first, chunk = Selection(16, 12, first=1, local=1), 1600, 1500, 21
    starts = torch.zeros(1, queries, dtype=torch.long)
    starts[:, 1510:] = 1450
    maxima = torch.randn(1, 4, 100, chunk, generator=draw).mul(4).round() / 4
    lse = torch.randn(1, 4, queries, generator=draw).mul(2).round() / 2
    own = (torch.arange(queries) - starts)[:, first : first + chunk] // selection.block
    scores = group_scores(maxima.transpose(2, 3), lse[..., first : first + chunk], 2)
    expected = select_blocks(scores.where(torch.arange(100) <= own[:, None, :, None], -torch.inf), own, selection)
    indices = torch.full((1, 2, queries, 12), -7, dtype=torch.int32, device=DEVICE)
    blocks.select(maxima.to(DEVICE), lse.to(DEVICE), on_device(Segments(starts)), selection, first, indices)
    assert torch.equal(indices[:, :, first : first + chunk].cpu(), expected)
    assert (indices[:, :, :first] == -7).all() and (indices[:, :, first + chunk :] == -7).all()


def test_a_union_may_be_shared_by_layers():
    segments = on_device(SEGMENTS["whole"])
    q, k, v, sinks, _ = case(segments)
    indices = chosen_indices(segments, (q, k, v, sinks, None))
    shared = attention.share(indices, segments, SELECTION.block, 2)
    for one in (q, 2 * q):
        torch.testing.assert_close(
            attention.sparse_attention(one, k, v, shared, segments, SELECTION.block, sinks),
            reference.sparse_attention(one, k, v, indices, segments, SELECTION.block, sinks),
            **CLOSE,
        )


def test_union_tiles_hold_each_querys_blocks():
    segments = on_device(SEGMENTS["packed"])
    indices = chosen_indices(segments, case(segments))
    width = queries_a_tile(2)
    union = union_tiles(indices, segments, SELECTION.block, width)
    for head in range(2):
        for query in range(segments.starts.shape[1]):
            tile, bit = divmod(query, width)
            slots = slice(0, int(union.count[0, head, tile]))
            held = union.begin[0, head, tile, slots][(union.bits[0, head, tile, slots] >> bit & 1) == 1]
            named = [int(i) for i in indices[0, head, query] if i >= 0]
            assert held.tolist() == [int(segments.starts[0, query]) + i * SELECTION.block for i in named]


@pytest.mark.parametrize(("change", "message"), [({"heads": 6}, "group 3"), ({"dim": 8}, "below 16")])
def test_shapes_without_a_kernel_are_refused(change, message):
    segments = on_device(whole(1, 5))
    q, k, v, _, _ = case(segments, **change)
    with pytest.raises(ValueError, match=message):
        attention.causal_attention(q, k, v, segments)
