"""KV-outer forward pass and reader lists, against naive twins with the same indices.

Runs where triton is installed; on a CPU set TRITON_INTERPRET=1 (scripts/test_kernels.sh makes the environment).
"""

import dataclasses
import os

import pytest
import torch

from tests.helpers.hysparse_loops import loop_softmax

pytest.importorskip("triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("no GPU, and TRITON_INTERPRET is not 1", allow_module_level=True)

from judgerlvr.hysparse.ops import reference  # noqa: E402
from judgerlvr.hysparse.ops.segments import Segments, from_lengths, from_mask, whole  # noqa: E402
from judgerlvr.hysparse.ops.triton import kv_outer  # noqa: E402
from judgerlvr.hysparse.ops.triton.reader_lists import reader_lists  # noqa: E402

HALF = torch.bfloat16 if DEVICE == "cuda" else torch.float16
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
BLOCK, COUNT = 16, 3
SEGMENTS = {
    "whole": whole(2, 70),
    "packed": from_lengths(torch.tensor([0, 60, 61, 70, 92]), 93),
    "left padded": from_mask(torch.tensor([[0] * 5 + [1] * 65, [1] * 70]), 70),
    "cached": whole(1, 9, offset=71),
    "short": whole(1, 5),
}
SMALL = kv_outer.OuterOptions(rows=16, task=24, span=32, programs=3, merged=16)


@pytest.fixture(autouse=True)
def unwritten_memory_is_no_number():
    """torch.empty returns NaN, so that no element left unwritten can hold an earlier test's result."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


def drawn(segments, heads, kv_heads, dim, dtype=torch.float32, block=BLOCK, count=COUNT):
    """q, k, v, sinks and random indices. Queries are large enough to make attention peaked."""
    draw = torch.Generator().manual_seed(0)
    batch, queries = segments.starts.shape
    q = 2 * torch.randn(batch, heads, queries, dim, generator=draw)
    k, v = torch.randn(2, batch, kv_heads, segments.keys, dim, generator=draw)
    own = (segments.positions // block)[:, None, :, None]
    most = segments.keys // block + 1
    order = torch.rand(batch, kv_heads, queries, most, generator=draw)
    order = order.masked_fill(torch.arange(most) > own, -1.0)
    best = order.topk(min(count, most), dim=-1)
    indices = best.indices.masked_fill(best.values < 0, most).sort(-1).values
    indices = torch.nn.functional.pad(
        indices.masked_fill(indices == most, -1), (0, count - indices.shape[-1]), value=-1
    )
    tensors = [tensor.to(DEVICE, dtype) for tensor in (q, k, v)]
    return *tensors, torch.randn(heads, generator=draw).to(DEVICE), indices.int().to(DEVICE)


def outcome(q, k, v, sinks, indices, segments, block=BLOCK, options=SMALL):
    """Output and log normaliser."""
    span = kv_outer.span_of(options.span, indices, kv_outer.pair_bytes(q, k.shape[1]))
    lists = reader_lists(indices.contiguous(), segments, block, span, options.task)
    return kv_outer.kv_outer_forward(q, k, v, sinks, lists, segments, options)


def loop_sparse(q, k, v, sinks, indices, segments, block=BLOCK):
    """Output and log normaliser in float64, one query and one head at a time."""
    out, lse = torch.zeros_like(q, dtype=torch.float64), torch.zeros(q.shape[:3], dtype=torch.float64)
    q, k, v, group = q.double().cpu(), k.double().cpu(), v.double().cpu(), q.shape[1] // k.shape[1]
    for row in range(q.shape[0]):
        for head in range(q.shape[1]):
            for query in range(q.shape[2]):
                start, last = int(segments.starts[row, query]), segments.offset + query
                chosen = [int(i) for i in indices[row, head // group, query] if i >= 0]
                keys = [n for i in chosen for n in range(start + i * block, start + (i + 1) * block) if n <= last]
                logits = (k[row, head // group, keys] @ q[row, head, query] * q.shape[-1] ** -0.5).tolist()
                sink = None if sinks is None else float(sinks[head])
                found = loop_softmax(logits, list(v[row, head // group, keys]), sink)
                out[row, head, query], lse[row, head, query] = found
    return out.to(DEVICE), lse.to(DEVICE)


def on_device(segments: Segments):
    return Segments(segments.starts.to(DEVICE), segments.offset)


@pytest.mark.parametrize("name", SEGMENTS)
def test_output_and_normaliser(name):
    segments = on_device(SEGMENTS[name])
    case = drawn(SEGMENTS[name], 4, 2, 16)
    got, expected = outcome(*case, segments), loop_sparse(*case, segments)
    torch.testing.assert_close(got, tuple(tensor.float() for tensor in expected), **CLOSE)


@pytest.mark.parametrize(("heads", "kv_heads", "dim"), [(2, 2, 64), (8, 2, 128), (8, 1, 64), (16, 1, 128)])
def test_groups_and_head_dims(heads, kv_heads, dim):
    segments = on_device(whole(1, 70))
    q, k, v, _, indices = drawn(whole(1, 70), heads, kv_heads, dim)
    got, _ = outcome(q, k, v, None, indices, segments)
    torch.testing.assert_close(got, reference.sparse_attention(q, k, v, indices, segments, BLOCK), **CLOSE)


def test_half_precision_stays_within_a_hundredth_of_float32():
    segments = on_device(whole(1, 100))
    q, k, v, sinks, indices = drawn(whole(1, 100), 4, 1, 64, HALF)
    got, _ = outcome(q, k, v, sinks, indices, segments)
    wide = (q.float(), k.float(), v.float())
    expected = reference.sparse_attention(*wide, indices, segments, BLOCK, sinks)
    assert got.dtype == HALF
    assert ((got.float() - expected).norm() / expected.norm()).item() <= 1e-2


@pytest.mark.parametrize(("block", "count"), [(32, 2), (64, 1), (16, 5)])
def test_blocks_and_counts(block, count):
    segments = on_device(whole(1, 150))
    q, k, v, sinks, indices = drawn(whole(1, 150), 4, 1, 16, block=block, count=count)
    got, _ = outcome(q, k, v, sinks, indices, segments, block)
    torch.testing.assert_close(got, reference.sparse_attention(q, k, v, indices, segments, block, sinks), **CLOSE)


@pytest.mark.parametrize("change", [{"megabytes": 0}, {"span": 70}, {"task": 5}], ids=str)
def test_memory_and_spans_change_no_bit(change):
    """One owner a launch where no byte is allowed, and spans of another length.

    The interpreter multiplies with numpy, whose rounding may depend on a row's place in its tile on some processors.
    """
    segments = on_device(SEGMENTS["whole"])
    *case, indices = drawn(SEGMENTS["whole"], 8, 4, 16)
    expected = outcome(*case, indices, segments)
    got = outcome(*case, indices, segments, options=dataclasses.replace(SMALL, **change))
    moved = DEVICE == "cpu" and "megabytes" not in change
    torch.testing.assert_close(got, expected, rtol=0, atol=5e-6 if moved else 0)


def test_short_memory_halves_the_owners():
    tried = []

    def make(owners):
        tried.append(owners)
        if owners > 2:
            raise torch.OutOfMemoryError
        return owners

    assert kv_outer.as_many_as_fit(make, 9) == 2
    assert tried == [9, 4, 2]


def test_no_memory_for_one_owner_is_an_error():
    def make(owners):
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        kv_outer.as_many_as_fit(make, 3)


def test_scratch_is_bounded(monkeypatch):
    """8 KV heads of group 4 and head dim 128 with 16 blocks: 2 KiB a pair in float32."""
    indices, q = torch.zeros(1, 8, 40, 16, dtype=torch.int32), torch.zeros(1, 32, 40, 128)
    pair = kv_outer.pair_bytes(q, 8)
    assert pair == 2048
    monkeypatch.setattr(kv_outer, "SPAN_BYTES", 16 * 2048 * 30)
    assert kv_outer.span_of(8192, indices, pair) == 30
    lists = reader_lists(indices.to(DEVICE), on_device(whole(1, 40)), 64, 30, 8)
    assert [kv_outer.owners_at_once(lists, pair, megabytes) for megabytes in (0, 1, 2, 99)] == [1, 1, 2, 8]


@pytest.mark.parametrize("name", SEGMENTS)
def test_tasks_hold_each_pair_once(name):
    segments, (span, most) = on_device(SEGMENTS[name]), (16, 5)
    *_, indices = drawn(SEGMENTS[name], 4, 2, 16)
    lists = reader_lists(indices, segments, BLOCK, span, most)
    assert len(lists.first) == int(lists.bounds[-1])
    found = []
    for part in lists.launches(at_once=1):
        assert part.owners == 1
        for task in range(int(lists.bounds[part.low]), int(lists.bounds[part.high])):
            first, size, begin, owner = (int(t[task]) for t in lists.tasks[1:])
            assert owner == part.first_owner
            assert 1 <= size <= most
            for entry in lists.entry[first : first + size].tolist():
                assert entry // COUNT < part.queries
                found.append((owner, part.begin_query + entry // COUNT, entry % COUNT, begin))
    places = torch.cartesian_prod(*map(torch.arange, indices.shape)).tolist()
    expected = [
        (row * indices.shape[1] + head, query, slot, int(segments.starts[row, query]) + index * BLOCK)
        for (row, head, query, slot), index in zip(places, indices.flatten().tolist(), strict=True)
        if index >= 0
    ]
    assert sorted(found) == sorted(expected)
