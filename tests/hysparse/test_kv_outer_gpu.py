"""KV-outer kernels in half precision on a GPU, alone and inside a whole model, beside union tiles and the reference.

They are the default, so a GPU runs this file before a change of the kernels is shipped. Small cases also run on a CPU
with TRITON_INTERPRET=1, where triton and transformers are both installed.
"""

import os
from itertools import pairwise

import pytest
import torch

pytest.importorskip("triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
ON_GPU = DEVICE == "cuda"
if not ON_GPU and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("no GPU, and TRITON_INTERPRET is not 1", allow_module_level=True)
pytestmark = pytest.mark.gpu

from judgerlvr.hysparse.ops import dispatch, reference  # noqa: E402
from judgerlvr.hysparse.ops.segments import from_lengths, whole  # noqa: E402
from judgerlvr.hysparse.ops.triton import attention, overlap  # noqa: E402
from judgerlvr.hysparse.ops.triton.overlap import ByOverlap, SharedChoice  # noqa: E402
from judgerlvr.hysparse.ops.triton.reader_lists import ReaderLists  # noqa: E402
from judgerlvr.hysparse.ops.triton.union_tiles import UnionTiles  # noqa: E402

# Triton's interpreter multiplies bfloat16 matrices as if they held integers.
HALF = torch.bfloat16 if ON_GPU else torch.float16
ALWAYS = ByOverlap(spread=0.0, queries=0)
BLOCK, COUNT = 64, 4
LENGTH = 717 if ON_GPU else 290
SHAPES = [(group, dim) for group in (1, 4, 8, 16) for dim in (16, 64, 128)] if ON_GPU else [(4, 16)]
needs_gpu = pytest.mark.skipif(not ON_GPU, reason="too slow without a GPU")


def case(group, dim, length=LENGTH, kv_heads=2):
    """q, k, v and an output gradient in half precision. The heads that a KV head serves are a group."""
    draw = torch.Generator().manual_seed(0)
    shapes = [(1, heads, length, dim) for heads in (kv_heads * group, kv_heads, kv_heads, kv_heads * group)]
    return [torch.randn(shape, generator=draw).to(DEVICE, HALF) for shape in shapes]


def drawn(length, kv_heads, count=COUNT, block=BLOCK):
    """Each query's own draw of ``count`` visible blocks, or all visible blocks where there are fewer."""
    draw = torch.Generator().manual_seed(0)
    own, blocks = torch.arange(length)[:, None] // block, max(count, length // block + 1)
    order = torch.rand(1, kv_heads, length, blocks, generator=draw)
    best = order.masked_fill(torch.arange(blocks) > own, -1.0).topk(count, dim=-1)
    indices = best.indices.masked_fill(best.values < 0, blocks).sort(-1).values
    return indices.masked_fill(indices == blocks, -1).int().to(DEVICE)


def outcome(shared, tensors, segments, sinks=None, module=attention):
    """Output and gradients of q, k and v."""
    inputs = [tensor.detach().requires_grad_() for tensor in tensors[:3]]
    out = module.sparse_attention(*inputs, shared, segments, BLOCK, sinks)
    return out, *torch.autograd.grad(out, inputs, tensors[3].to(out.dtype))


def errors(got, expected):
    """Relative L2 errors."""
    return [((a.float() - b.float()).norm() / b.float().norm()).item() for a, b in zip(got, expected, strict=True)]


@pytest.mark.parametrize(("group", "dim"), SHAPES)
def test_outputs_and_gradients_are_as_near_to_float32_as_those_of_union_tiles(group, dim):
    tensors, segments, indices = case(group, dim), whole(1, LENGTH, device=DEVICE), drawn(LENGTH, 2)
    sinks = torch.linspace(-1, 1, 2 * group, device=DEVICE)
    expected = outcome(indices, [tensor.float() for tensor in tensors], segments, sinks, reference)
    own = errors(outcome(indices, tensors, segments, sinks), expected)
    found = errors(outcome(ALWAYS.share(indices, segments, BLOCK, group), tensors, segments, sinks), expected)
    assert all(error <= 1e-2 and error <= 2 * limit for error, limit in zip(found, own, strict=True)), (found, own)


def test_forward_and_backward_repeat_bitwise():
    """Also from new lists, whose pairs may come in another order, and with one KV head a launch."""
    tensors, segments, indices = case(4, SHAPES[-1][1]), whole(1, LENGTH, device=DEVICE), drawn(LENGTH, 2)
    small = ByOverlap(overlap.OuterOptions(megabytes=0), overlap.BackwardOptions(megabytes=0), spread=0.0, queries=0)
    shared = ALWAYS.share(indices, segments, BLOCK, 4)
    again = [shared, shared, ALWAYS.share(indices, segments, BLOCK, 4), small.share(indices, segments, BLOCK, 4)]
    first, *others = [outcome(choice, tensors, segments) for choice in again]
    for other in others:
        assert all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_packed_rows_equal_separate_ones():
    cuts = [0, LENGTH // 2, LENGTH // 2 + 1, LENGTH]
    tensors, segments = case(4, SHAPES[-1][1]), from_lengths(torch.tensor(cuts, device=DEVICE), LENGTH)
    indices = torch.cat([drawn(high - low, 2) for low, high in pairwise(cuts)], dim=2)
    got = outcome(ALWAYS.share(indices, segments, BLOCK, 4), tensors, segments)
    for low, high in pairwise(cuts):
        alone, one = whole(1, high - low, device=DEVICE), [tensor[:, :, low:high] for tensor in tensors]
        shared = ALWAYS.share(indices[:, :, low:high].contiguous(), alone, BLOCK, 4)
        torch.testing.assert_close(tuple(t[:, :, low:high] for t in got), outcome(shared, one, alone))


@needs_gpu
@pytest.mark.parametrize(("overlapping", "taken"), [(False, ReaderLists), (True, UnionTiles)])
def test_long_rows_by_their_overlap_with_the_shipped_thresholds(overlapping, taken):
    """16,384 queries of 16 blocks in bfloat16, as they are measured: lists or tiles, near to union tiles' results."""
    length, count = 16384, 16
    tensors, segments = case(4, 128, length, kv_heads=8), whole(1, length, device=DEVICE)
    indices = drawn(length, 8, count)
    if overlapping:
        first = torch.arange(count, device=DEVICE)
        seen = first <= torch.arange(length, device=DEVICE)[:, None] // BLOCK
        indices = first.where(seen, -1).int().expand(1, 8, -1, -1).contiguous()
    shared = attention.share_by_overlap(indices, segments, BLOCK, 4)
    assert isinstance(shared, SharedChoice)
    assert isinstance(shared.form(tensors[0]), taken)
    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated()
    got = outcome(shared, tensors, segments)
    # The scratch, and lists, copies and gradients of less than half a GiB.
    assert torch.cuda.max_memory_allocated() - held < 1.7 * 2**30
    assert max(errors(got, outcome(indices, tensors, segments))) <= 1e-2


def model_case():
    """A hybrid model with three sparse layers in a block, ids of a packed row, and where its sequences begin."""
    pytest.importorskip("transformers")
    from tests.helpers.hysparse_models import make_model

    wide = {"num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 128, "hidden_size": 256}
    blocks = {"select_block": 16, "select_tokens": 64, "sliding_window": 20}
    changes = blocks | (wide if ON_GPU else {}) | {"num_hidden_layers": 5, "sparse_ratio": 3, "qk_norm": True}
    length = 700 if ON_GPU else 80
    ids = torch.randint(0, 512, (1, length), generator=torch.Generator().manual_seed(1)).to(DEVICE)
    cuts = torch.tensor([0, length // 7, length], device=DEVICE)
    return make_model("tiny", **changes).to(DEVICE).train(), ids, cuts


def use(monkeypatch, backend):
    """Let models run on the backend. On a CPU, dispatch would give the reference, so the kernels are put in."""
    monkeypatch.setattr(attention, "BY_OVERLAP", ALWAYS)
    monkeypatch.setenv(dispatch.BACKEND_VARIABLE, backend)
    if not ON_GPU and backend != dispatch.REFERENCE:
        operations = dispatch.triton_operations(backend != dispatch.UNION)
        monkeypatch.setattr("judgerlvr.hysparse.model.attention.operations", lambda device: operations)


def gradients(model, ids, cuts, blocks=None):
    """Gradient of every parameter, and the blocks that were used."""
    model.zero_grad()
    found = model(ids, labels=ids, use_cache=False, cu_seqlens=cuts, block_indices=blocks, output_blocks=True)
    found.loss.backward()
    return {name: p.grad.detach().clone() for name, p in model.named_parameters()}, found.used_blocks


def test_gradients_of_a_whole_model_before_and_after(monkeypatch):
    """Every parameter, on given blocks, before with union tiles and after with KV-outer.

    The twin has the same rounded weights in float32.
    """
    model, ids, cuts = model_case()
    model, found = model.to(HALF).float(), {}
    use(monkeypatch, dispatch.REFERENCE)
    exact, blocks = gradients(model, ids, cuts)
    served, serves = [], SharedChoice.serves
    monkeypatch.setattr(SharedChoice, "serves", lambda self, q: (served.append(serves(self, q)), served[-1])[1])
    for backend in (dispatch.UNION, ""):
        use(monkeypatch, backend)
        found[backend], _ = gradients(model.to(HALF), ids, cuts, blocks)
    # Three sparse layers follow the one full layer that selects.
    assert served == [True] * 3
    before, after = found.values()
    for name, wanted in exact.items():
        own, error, between = errors([before[name], after[name], after[name]], [wanted, wanted, before[name]])
        assert max(error, between) <= 1.5 * own + 1e-3, (name, own, error, between)


def test_a_whole_models_gradients_repeat_bitwise_with_and_without_checkpointing(monkeypatch):
    model, ids, cuts = model_case()
    model = model.to(HALF)
    use(monkeypatch, "")
    first, blocks = gradients(model, ids, cuts)
    second, _ = gradients(model, ids, cuts, blocks)
    model.gradient_checkpointing_enable()
    third, _ = gradients(model, ids, cuts, blocks)
    for name, gradient in first.items():
        assert torch.equal(gradient, second[name]) and torch.equal(gradient, third[name]), name
