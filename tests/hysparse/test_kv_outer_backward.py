"""KV-outer backward pass and the choice of kernels by overlap, against the reference with the same indices.

Runs where triton is installed; on a CPU set TRITON_INTERPRET=1 (scripts/test_kernels.sh makes the environment).
"""

import dataclasses
import os

import pytest
import torch
import torch.utils.checkpoint

pytest.importorskip("triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("no GPU, and TRITON_INTERPRET is not 1", allow_module_level=True)

from judgerlvr.hysparse.ops import kernel_shapes, reference  # noqa: E402
from judgerlvr.hysparse.ops.segments import Segments, from_lengths, from_mask, whole  # noqa: E402
from judgerlvr.hysparse.ops.triton import attention, overlap  # noqa: E402
from judgerlvr.hysparse.ops.triton.kv_outer import OuterOptions  # noqa: E402
from judgerlvr.hysparse.ops.triton.kv_outer_backward import BackwardOptions, Buffers  # noqa: E402
from judgerlvr.hysparse.ops.triton.ordered_lists import OrderedLists, ordered_lists  # noqa: E402
from judgerlvr.hysparse.ops.triton.overlap import ByOverlap, SharedChoice  # noqa: E402
from judgerlvr.hysparse.ops.triton.reader_lists import ReaderLists  # noqa: E402
from judgerlvr.hysparse.ops.triton.union_tiles import UnionTiles  # noqa: E402

# Triton's interpreter multiplies bfloat16 matrices as if they held integers.
HALF = torch.bfloat16 if DEVICE == "cuda" else torch.float16
CLOSE = {"rtol": 1e-4, "atol": 2e-5}
BLOCK, COUNT = 16, 2
SEGMENTS = {
    "whole": whole(2, 40),
    "packed": from_lengths(torch.tensor([0, 30, 31, 40, 52]), 53),
    "left padded": from_mask(torch.tensor([[0] * 5 + [1] * 35, [1] * 40]), 40),
    "cached": whole(1, 9, offset=39),
}
OUTER = OuterOptions(rows=16, task=24, span=32, programs=2, merged=16)
# Tasks so small that most blocks take further tasks, and one KV head a launch.
SMALL = BackwardOptions(rows=16, task=5, span=32, programs=2, merged=16, megabytes=0)
ALWAYS = ByOverlap(OUTER, SMALL, spread=0.0, queries=0)
NEVER = dataclasses.replace(ALWAYS, spread=99.0)
UNION = dataclasses.replace(NEVER, backward_spread=99.0)


@pytest.fixture(autouse=True)
def float32_is_served(monkeypatch):
    """Rounding would hide small errors."""
    monkeypatch.setattr(overlap, "ITEM_BYTES", 4)


@pytest.fixture(autouse=True)
def unwritten_memory_is_no_number():
    """torch.empty returns NaN, so that no element left unwritten can hold an earlier test's result."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


def drawn(segments, heads, kv_heads, dim):
    """q, k, v, sinks, an output gradient, and indices of distinct visible blocks."""
    draw = torch.Generator().manual_seed(0)
    batch, queries = segments.starts.shape
    q, grad = torch.randn(2, batch, heads, queries, dim, generator=draw)
    k, v = torch.randn(2, batch, kv_heads, segments.keys, dim, generator=draw)
    own = (segments.positions // BLOCK)[:, None, :, None]
    most = segments.keys // BLOCK + 1
    order = torch.rand(batch, kv_heads, queries, most, generator=draw).masked_fill(torch.arange(most) > own, -1.0)
    best = order.topk(COUNT, dim=-1)
    indices = best.indices.masked_fill(best.values < 0, most).sort(-1).values
    tensors = (2 * q, k, v, torch.randn(heads, generator=draw), grad, indices.masked_fill(indices == most, -1).int())
    return [tensor.to(DEVICE) for tensor in tensors]


def on_device(segments: Segments):
    return Segments(segments.starts.to(DEVICE), segments.offset)


def gradients(call, q, k, v, sinks, grad):
    """Output and gradients of q, k, v and sinks."""
    inputs = [tensor.detach().requires_grad_() for tensor in (q, k, v, sinks)]
    out = call(*inputs)
    return out.detach(), *torch.autograd.grad(out, inputs, grad)


def through(kernels, indices, segments, group):
    shared = kernels.share(indices, segments, BLOCK, group)
    assert isinstance(shared, SharedChoice)
    return lambda q, k, v, sinks: attention.sparse_attention(q, k, v, shared, segments, BLOCK, sinks)


def expected(indices, segments):
    return lambda q, k, v, sinks: reference.sparse_attention(q, k, v, indices, segments, BLOCK, sinks)


@pytest.mark.parametrize("name", SEGMENTS)
def test_gradients(name):
    segments = on_device(SEGMENTS[name])
    *case, indices = drawn(SEGMENTS[name], 4, 2, 16)
    got = gradients(through(ALWAYS, indices, segments, 2), *case)
    torch.testing.assert_close(got, gradients(expected(indices, segments), *case), **CLOSE)


@pytest.mark.parametrize(("heads", "kv_heads"), [(2, 2), (4, 1), (8, 1)])
def test_gradients_of_groups(heads, kv_heads):
    segments = on_device(SEGMENTS["packed"])
    *case, indices = drawn(SEGMENTS["packed"], heads, kv_heads, 32)
    options = dataclasses.replace(SMALL, megabytes=1)
    got = gradients(through(dataclasses.replace(ALWAYS, backward=options), indices, segments, heads // kv_heads), *case)
    torch.testing.assert_close(got, gradients(expected(indices, segments), *case), **CLOSE)


def test_gradients_behind_union_tiles():
    segments = on_device(SEGMENTS["packed"])
    *case, indices = drawn(SEGMENTS["packed"], 4, 1, 16)
    got = gradients(through(NEVER, indices, segments, 4), *case)
    torch.testing.assert_close(got, gradients(expected(indices, segments), *case), **CLOSE)


@pytest.mark.parametrize("name", SEGMENTS)
def test_neighbours_that_agree_keep_union_tiles_in_both_passes(name):
    segments = on_device(SEGMENTS[name])
    *case, indices = drawn(SEGMENTS[name], 4, 2, 16)
    tiles = attention.share(indices, segments, BLOCK, 2)
    wanted = gradients(lambda q, k, v, s: attention.sparse_attention(q, k, v, tiles, segments, BLOCK, s), *case)
    got = gradients(through(UNION, indices, segments, 2), *case)
    assert all(torch.equal(first, second) for first, second in zip(got, wanted, strict=True))


def test_layers_under_checkpointing_share_the_union_tiles_of_both_passes(monkeypatch):
    """Two layers of one choice, each run again for its gradients."""
    made = []
    monkeypatch.setattr(overlap, "share", lambda *given: made.append(attention.share(*given)) or made[-1])
    segments = on_device(SEGMENTS["packed"])
    *case, indices = drawn(SEGMENTS["packed"], 4, 2, 16)
    shared = UNION.share(indices, segments, BLOCK, 2)

    def layers(layer):
        def both(q, k, v, s):
            return layer(layer(q, k, v, s), k, v, s)

        return both

    def plain(q, k, v, s):
        return attention.sparse_attention(q, k, v, shared, segments, BLOCK, s)

    again = layers(lambda *given: torch.utils.checkpoint.checkpoint(plain, *given, use_reentrant=False))
    got, wanted = gradients(again, *case), gradients(layers(expected(indices, segments)), *case)
    torch.testing.assert_close(got, wanted, **CLOSE)
    assert len(made) == 1


def test_float32_keys_of_half_precision_queries_get_float32_gradients(monkeypatch):
    monkeypatch.setattr(overlap, "ITEM_BYTES", 2)
    segments = on_device(SEGMENTS["whole"])
    q, k, v, sinks, grad, indices = drawn(SEGMENTS["whole"], 4, 2, 16)
    half = [tensor.to(HALF) for tensor in (q, k, v, grad)]
    rounded = [tensor.float() for tensor in half]
    got = gradients(through(ALWAYS, indices, segments, 2), half[0], *rounded[1:3], sinks, half[3])
    assert [tensor.dtype for tensor in got[:3]] == [HALF, HALF, torch.float32]
    wanted = gradients(expected(indices, segments), *rounded[:3], sinks, rounded[3])
    errors = [((a.float() - b).norm() / b.norm()).item() for a, b in zip(got, wanted, strict=True)]
    assert max(errors) <= 1e-2


def test_gradients_repeat_bitwise():
    segments = on_device(SEGMENTS["whole"])
    *case, indices = drawn(SEGMENTS["whole"], 4, 2, 16)
    one, two = (gradients(through(ALWAYS, indices, segments, 2), *case) for _ in range(2))
    assert all(torch.equal(first, second) for first, second in zip(one, two, strict=True))


@pytest.mark.parametrize("name", SEGMENTS)
def test_memory_changes_no_bit(name):
    """One owner a launch where no byte is allowed, else all owners at once."""
    segments = on_device(SEGMENTS[name])
    *case, indices = drawn(SEGMENTS[name], 4, 2, 16)
    large = dataclasses.replace(ALWAYS, backward=dataclasses.replace(SMALL, megabytes=1))
    one, two = (gradients(through(kernels, indices, segments, 2), *case) for kernels in (ALWAYS, large))
    assert all(torch.equal(first, second) for first, second in zip(one, two, strict=True))


@pytest.mark.parametrize("name", SEGMENTS)
def test_pairs_ascend_and_further_tasks_have_slots(name):
    """Tasks of a span, an owner and a block together hold the readers in ascending order."""
    segments, span, most = on_device(SEGMENTS[name]), 32, 5
    *_, indices = drawn(SEGMENTS[name], 4, 2, 16)
    ordered = ordered_lists(indices, segments, BLOCK, span, most)
    entry, first, size, begin, owner = (table.tolist() for table in ordered.lists.tasks)
    bounds, slot, follower = ordered.lists.bounds.tolist(), ordered.slot.tolist(), ordered.follower.tolist()
    owners, slots, found = indices.shape[0] * indices.shape[1], [], {}
    for section in range(len(bounds) - 1):
        for task in range(bounds[section], bounds[section + 1]):
            assert owner[task] == section % owners
            readers = found.setdefault((section // owners, owner[task], begin[task]), [])
            number = len(readers) // most
            assert (slot[task] < 0) == (number == 0)
            if number:
                slots.append(slot[task])
                assert follower[slot[task]] == (task if number == 1 else -1)
            readers += entry[first[task] : first[task] + size[task]]
        assert len(slots) == ordered.slot_bounds[section + 1]
    assert slots == list(range(len(slots)))
    wanted = {}
    for row, head, query, n in torch.cartesian_prod(*map(torch.arange, indices.shape)).tolist():
        if indices[row, head, query, n] >= 0:
            key = int(segments.starts[row, query]) + int(indices[row, head, query, n]) * BLOCK
            bucket = (query // span, row * indices.shape[1] + head, key)
            wanted.setdefault(bucket, []).append(query % span * COUNT + n)
    assert found == wanted


def form(indices, segments, **thresholds):
    """What the forward pass of queries of 4 heads would read."""
    kernels = dataclasses.replace(ALWAYS, **thresholds)
    shared = kernels.share(indices, segments, BLOCK, 4)
    return shared.form(torch.zeros(1, 4, indices.shape[2], 16)) if isinstance(shared, SharedChoice) else shared


def test_short_rows_keep_union_tiles():
    segments = on_device(SEGMENTS["packed"])
    indices = drawn(SEGMENTS["packed"], 4, 1, 16)[-1]
    assert isinstance(form(indices, segments, queries=53), ReaderLists)
    assert isinstance(ByOverlap(spread=0.0, queries=54).share(indices, segments, BLOCK, 4), UnionTiles)


def test_large_groups_keep_union_tiles():
    segments = on_device(SEGMENTS["packed"])
    indices = drawn(SEGMENTS["packed"], 4, 1, 16)[-1]
    assert isinstance(ALWAYS.share(indices, segments, BLOCK, 32), UnionTiles)


@pytest.mark.parametrize(("spread", "taken"), [(1.4, ReaderLists), (1.6, UnionTiles)])
def test_overlap_decides(spread, taken):
    """16 queries of one tile name two blocks of three, so a union holds 1.5 times the blocks of a query."""
    segments, indices = on_device(whole(1, 48)), torch.tensor([[0, 1], [1, 2]], dtype=torch.int32, device=DEVICE)
    choices = indices.repeat(24, 1)[None, None].contiguous()
    assert isinstance(form(choices, segments, spread=spread), taken)


@pytest.mark.parametrize(("spread", "taken"), [(1.4, OrderedLists), (1.6, UnionTiles)])
def test_overlap_decides_the_backward_pass(spread, taken):
    segments, indices = on_device(whole(1, 48)), torch.tensor([[0, 1], [1, 2]], dtype=torch.int32, device=DEVICE)
    choices = indices.repeat(24, 1)[None, None].contiguous()
    shared = dataclasses.replace(NEVER, backward_spread=spread).share(choices, segments, BLOCK, 4)
    assert isinstance(shared.backward_form(torch.zeros(1, 4, 48, 16)), taken)


def test_a_backward_pass_behind_reader_lists_is_never_of_union_tiles():
    """No union tiles are kept there."""
    segments = on_device(SEGMENTS["packed"])
    indices = drawn(SEGMENTS["packed"], 4, 1, 16)[-1]
    shared = dataclasses.replace(ALWAYS, backward_spread=99.0).share(indices, segments, BLOCK, 4)
    assert isinstance(shared.backward_form(torch.zeros(1, 4, 53, 16)), OrderedLists)


@pytest.mark.parametrize(
    ("dtype", "dim", "keys", "served"),
    [
        (torch.bfloat16, 128, 0, True),
        (torch.float32, 128, 0, False),
        (torch.bfloat16, 256, 0, False),
        # 40 queries of two blocks name 80 pairs, and each of two spans counts 160 keys.
        (torch.bfloat16, 128, 120, False),
    ],
)
def test_other_shapes_are_not_served(monkeypatch, dtype, dim, keys, served):
    monkeypatch.setattr(overlap, "ITEM_BYTES", 2)
    indices = torch.zeros(1, 1, 40, 2, dtype=torch.int32)
    shared = ALWAYS.share(indices, whole(1, 40, offset=keys), BLOCK, 4)
    assert shared.serves(torch.zeros(1, 4, 40, dim, dtype=dtype)) == served


def test_queries_without_a_kernel_take_union_tiles(monkeypatch):
    monkeypatch.setattr(overlap, "MOST_HEAD_DIM", 8)
    segments = on_device(SEGMENTS["packed"])
    *case, indices = drawn(SEGMENTS["packed"], 4, 1, 16)
    shared = ALWAYS.share(indices, segments, BLOCK, 4)
    got = gradients(lambda q, k, v, s: attention.sparse_attention(q, k, v, shared, segments, BLOCK, s), *case)
    union = attention.share(indices, segments, BLOCK, 4)
    wanted = gradients(lambda q, k, v, s: attention.sparse_attention(q, k, v, union, segments, BLOCK, s), *case)
    assert all(torch.equal(a, b) for a, b in zip(got, wanted, strict=True))
    assert shared._form is None


def test_layers_of_a_block_share_their_lists(monkeypatch):
    """Two sparse layers, forward and backward, make one set of lists each way."""
    made = []
    for name in ("reader_lists", "ordered_lists"):
        make = getattr(overlap, name)
        monkeypatch.setattr(overlap, name, lambda *given, make=make, name=name: (made.append(name), make(*given))[1])
    segments = on_device(SEGMENTS["packed"])
    *case, indices = drawn(SEGMENTS["packed"], 4, 1, 16)
    layer = through(ALWAYS, indices, segments, 4)
    gradients(lambda q, k, v, sinks: layer(q, k, v, sinks) + layer(2 * q, k, v, sinks), *case)
    assert made == ["reader_lists", "ordered_lists"]


def test_the_planned_scratch_holds_the_buffers(monkeypatch):
    """Two rows of two KV heads at once, with tasks of 5 pairs and spans of 32 queries."""
    for name, value in {"OUTER_QUERIES": 1, "OUTER_SPAN": 32, "OUTER_TASK": SMALL.task}.items():
        monkeypatch.setattr(kernel_shapes, name, value)
    *_, indices = drawn(SEGMENTS["whole"], 4, 2, 16)
    lists = ordered_lists(indices, on_device(SEGMENTS["whole"]), BLOCK, SMALL.span, SMALL.task)
    made = Buffers.of(torch.zeros(2, 4, 40, 16, dtype=HALF, device=DEVICE), 2, lists, 4)
    held = sum(tensor.nbytes for tensor in (made.parts, made.keys, made.values))
    planned = kernel_shapes.sparse_scratch(40, COUNT, BLOCK, 2, 4, 16, grad=True)
    assert held <= planned - kernel_shapes.PAIR_BYTES * indices.numel() <= 1.02 * held
