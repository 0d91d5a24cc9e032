"""Triton kernels in bfloat16 on a GPU, against the reference in float32 and beside SDPA's own error.

Inputs are rounded to bfloat16 first, so that both see the same; indices are given, so that a selection that flips by
rounding can neither hide nor fake an error.
"""

import pytest
import torch
from torch.nn import functional

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
pytest.importorskip("triton")

from judgerlvr.hysparse.ops import reference  # noqa: E402
from judgerlvr.hysparse.ops.kernel_shapes import MOST_GROUP, MOST_HEAD_DIM  # noqa: E402
from judgerlvr.hysparse.ops.segments import from_lengths, whole  # noqa: E402
from judgerlvr.hysparse.ops.selection import Selection  # noqa: E402

BLOCK, COUNT, WINDOW = 64, 4, 100
SHAPES = [(group, dim) for group in (1, 4, 8, MOST_GROUP) for dim in (64, MOST_HEAD_DIM)]
# 11 blocks and a piece of a block. Half of the queries see more blocks than they choose.
LENGTH = 717


def attention():
    """The kernels. Imported late, since without a GPU the import alone would fail where the interpreter is off."""
    from judgerlvr.hysparse.ops.triton import attention

    return attention


def case(group, dim, length=LENGTH, kv_heads=2):
    """q, k, v and an output gradient, in bfloat16."""
    draw = torch.Generator("cuda").manual_seed(0)
    shapes = [(1, heads, length, dim) for heads in (kv_heads * group, kv_heads, kv_heads, kv_heads * group)]
    return [torch.randn(shape, generator=draw, device="cuda").bfloat16() for shape in shapes]


def outcome(operation, q, k, v, grad):
    """Output and gradients of q, k and v."""
    inputs = [tensor.detach().requires_grad_() for tensor in (q, k, v)]
    out = operation(*inputs)
    return out, *torch.autograd.grad(out, inputs, grad.to(out.dtype))


def errors(operation, twin, tensors):
    """Relative L2 error of the output and each gradient, against the twin in float32."""
    got = outcome(operation, *tensors)
    expected = outcome(twin, *(tensor.float() for tensor in tensors))
    return [((a.float() - b).norm() / b.norm()).item() for a, b in zip(got, expected, strict=True)]


def sdpa(q, k, v):
    return functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)


def sdpa_errors(tensors):
    """SDPA's own, in bfloat16 against float32."""
    segments = whole(1, tensors[0].shape[2], device="cuda")
    return errors(sdpa, lambda q, k, v: reference.causal_attention(q, k, v, segments), tensors)


def within(found, own):
    """At most a hundredth, and at most twice SDPA's own error."""
    return all(error <= 1e-2 and error <= 2 * limit for error, limit in zip(found, own, strict=True))


@pytest.mark.parametrize(("group", "dim"), SHAPES)
def test_full_attention(group, dim):
    tensors, segments = case(group, dim), whole(1, LENGTH, device="cuda")
    selection = Selection(BLOCK, COUNT)
    found = errors(
        lambda q, k, v: attention().full_attention_with_selection(q, k, v, segments, selection)[0],
        lambda q, k, v: reference.causal_attention(q, k, v, segments),
        tensors,
    )
    assert within(found, sdpa_errors(tensors)), found


@pytest.mark.parametrize(("group", "dim"), SHAPES)
def test_sparse_attention(group, dim):
    """Block 0 is chosen by all queries and block 1 by none."""
    tensors, segments = case(group, dim), whole(1, LENGTH, device="cuda")
    indices = given_indices(tensors, segments)
    found = errors(
        lambda q, k, v: attention().sparse_attention(q, k, v, indices, segments, BLOCK),
        lambda q, k, v: reference.sparse_attention(q, k, v, indices, segments, BLOCK),
        tensors,
    )
    assert within(found, sdpa_errors(tensors)), found


@pytest.mark.parametrize(("group", "dim"), SHAPES)
def test_window_attention(group, dim):
    tensors, segments = case(group, dim), whole(1, LENGTH, device="cuda")
    found = errors(
        lambda q, k, v: attention().window_attention(q, k, v, segments, WINDOW),
        lambda q, k, v: reference.window_attention(q, k, v, segments, WINDOW),
        tensors,
    )
    assert within(found, sdpa_errors(tensors)), found


def given_indices(tensors, segments):
    """The reference's choice with block 0 forced and block 1 left out."""
    q, k, v, _ = tensors
    chosen = reference.full_attention_with_selection(q, k, v, segments, Selection(BLOCK, COUNT, first=1))[1]
    assert (segments.positions // BLOCK + 1 > COUNT).double().mean() >= 0.5
    beyond = LENGTH
    kept = chosen.masked_fill((chosen == 1) | (chosen < 0), beyond).sort(-1).values
    return kept.masked_fill(kept == beyond, -1)


def test_a_block_that_none_chose_gets_no_gradient_and_runs_repeat_bitwise():
    tensors, segments = case(4, 128), whole(1, LENGTH, device="cuda")
    indices = given_indices(tensors, segments)
    first, second = (
        outcome(lambda q, k, v: attention().sparse_attention(q, k, v, indices, segments, BLOCK), *tensors)
        for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert first[2][:, :, BLOCK : 2 * BLOCK].abs().max() == 0


def test_gradients_of_full_attention_repeat_bitwise():
    tensors, segments = case(4, 128), whole(1, LENGTH, device="cuda")
    first, second = (
        outcome(lambda q, k, v: attention().causal_attention(q, k, v, segments), *tensors) for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_packed_rows_equal_separate_ones():
    q, k, v, _ = case(4, 128)
    cuts = torch.tensor([0, 300, 301, LENGTH], device="cuda")
    segments = from_lengths(cuts, LENGTH)
    out, indices = attention().full_attention_with_selection(q, k, v, segments, Selection(BLOCK, COUNT))
    sparse = attention().sparse_attention(q, k, v, indices, segments, BLOCK)
    for low, high in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        part, alone = slice(low, high), whole(1, high - low, device="cuda")
        one = [tensor[:, :, part] for tensor in (q, k, v)]
        expected, chosen = attention().full_attention_with_selection(*one, alone, Selection(BLOCK, COUNT))
        assert torch.equal(indices[:, :, part], chosen)
        torch.testing.assert_close(out[:, :, part], expected)
        torch.testing.assert_close(sparse[:, :, part], attention().sparse_attention(*one, chosen, alone, BLOCK))


def test_decoding_stays_within_a_hundredth_of_float32():
    from judgerlvr.hysparse.ops.triton import decode as decoding

    q, k, v, _ = case(4, 128)
    one, segments = q[:, :, -1:], whole(1, 1, LENGTH - 1, "cuda")
    out, indices = decoding.full_decode(one, k, v, segments, Selection(BLOCK, COUNT))
    branches = decoding.Branches(k, v, WINDOW)
    sparse = decoding.sparse_decode(one, k, v, indices, segments, BLOCK, branches)
    wide = [tensor.float() for tensor in (one, k, v)]
    expected = reference.causal_attention(*wide, segments)
    both = reference.sparse_attention(*wide, indices, segments, BLOCK)
    both += reference.window_attention(*wide, segments, WINDOW)
    for got, twin in ((out, expected), (sparse, both)):
        assert ((got.float() - twin).norm() / twin.norm()).item() <= 1e-2
