"""Candidate kernels for choices with little overlap, against naive twins with the same indices.

Runs where triton is installed; on a CPU set TRITON_INTERPRET=1 (scripts/test_kernels.sh makes the environment).
"""

import os

import pytest
import torch

from tests.helpers.hysparse_loops import loop_softmax

pytest.importorskip("triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("no GPU, and TRITON_INTERPRET is not 1", allow_module_level=True)

from benchmarks.hysparse.kernels.candidates import kv_outer, mixed  # noqa: E402
from benchmarks.hysparse.kernels.candidates.kinds import KINDS, read_options, told  # noqa: E402
from benchmarks.hysparse.kernels.candidates.reader_lists import reader_lists  # noqa: E402
from benchmarks.hysparse.kernels.indices import popular  # noqa: E402
from judgerlvr.hysparse.ops import reference  # noqa: E402
from judgerlvr.hysparse.segments import Segments, from_lengths, whole  # noqa: E402

HALF = torch.bfloat16 if DEVICE == "cuda" else torch.float16
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
BLOCK, COUNT = 16, 3
SEGMENTS = {
    "whole": whole(2, 70),
    "packed": from_lengths(torch.tensor([0, 60, 61, 70, 92]), 93),
    "cached": whole(1, 9, offset=71),
    "short": whole(1, 5),
}
SMALL = {
    "outer": kv_outer.OuterOptions(rows=16, task=24, span=32, programs=3, merged=16),
    "mixed": mixed.MixedOptions(least=3, outer=kv_outer.OuterOptions(rows=16, task=24, span=32, programs=3)),
}


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


def outcome(candidate, q, k, v, sinks, indices, segments, block=BLOCK):
    """Output and log normaliser of a candidate."""
    options = SMALL[candidate]
    if candidate == "outer":
        lists = kv_outer.lists_of(indices, segments, block, options)
        return kv_outer.forward(q, k, v, indices, lists, segments, options, sinks)
    found = mixed.share_of(indices, segments, block, q.shape[1] // k.shape[1], options)
    return mixed.forward(q, k, v, found, segments, options, sinks)


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


@pytest.mark.parametrize("candidate", SMALL)
@pytest.mark.parametrize("name", SEGMENTS)
def test_output_and_normaliser(candidate, name):
    segments = on_device(SEGMENTS[name])
    case = drawn(SEGMENTS[name], 4, 2, 16)
    got, expected = outcome(candidate, *case, segments), loop_sparse(*case, segments)
    torch.testing.assert_close(got, tuple(tensor.float() for tensor in expected), **CLOSE)


@pytest.mark.parametrize("candidate", SMALL)
@pytest.mark.parametrize(("heads", "kv_heads", "dim"), [(2, 2, 64), (8, 2, 128), (8, 1, 64), (16, 1, 128)])
def test_groups_and_head_dims(candidate, heads, kv_heads, dim):
    segments = on_device(whole(1, 70))
    q, k, v, _, indices = drawn(whole(1, 70), heads, kv_heads, dim)
    got, _ = outcome(candidate, q, k, v, None, indices, segments)
    torch.testing.assert_close(got, reference.sparse_attention(q, k, v, indices, segments, BLOCK), **CLOSE)


@pytest.mark.parametrize("candidate", SMALL)
def test_half_precision_stays_within_a_hundredth_of_float32(candidate):
    segments = on_device(whole(1, 100))
    q, k, v, sinks, indices = drawn(whole(1, 100), 4, 1, 64, HALF)
    got, _ = outcome(candidate, q, k, v, sinks, indices, segments)
    wide = (q.float(), k.float(), v.float())
    expected = reference.sparse_attention(*wide, indices, segments, BLOCK, sinks)
    assert got.dtype == HALF
    assert ((got.float() - expected).norm() / expected.norm()).item() <= 1e-2


@pytest.mark.parametrize("name", SEGMENTS)
def test_tasks_hold_each_pair_once(name):
    segments, (span, most) = on_device(SEGMENTS[name]), (16, 5)
    *_, indices = drawn(SEGMENTS[name], 4, 2, 16)
    lists = reader_lists(indices, segments, BLOCK, span, most)
    found = []
    for number in range(lists.spans):
        for task in range(int(lists.bounds[number]), int(lists.bounds[number + 1])):
            first, size, begin, owner = (int(t[task]) for t in (lists.first, lists.size, lists.begin, lists.owner))
            assert 1 <= size <= most
            for entry in lists.entry[first : first + size].tolist():
                found.append((owner, number * span + entry // COUNT, entry % COUNT, begin))
    places = torch.cartesian_prod(*map(torch.arange, indices.shape)).tolist()
    expected = [
        (row * indices.shape[1] + head, query, slot, int(segments.starts[row, query]) + index * BLOCK)
        for (row, head, query, slot), index in zip(places, indices.flatten().tolist(), strict=True)
        if index >= 0
    ]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("name", SEGMENTS)
def test_indices_are_divided_by_their_readers(name):
    segments, width, least = on_device(SEGMENTS[name]), 8, 3
    *_, indices = drawn(SEGMENTS[name], 4, 2, 16)
    shared, alone = mixed.split(indices, segments, BLOCK, width, least)
    begins = (segments.starts[:, None, :, None] + indices.long() * BLOCK).masked_fill(indices < 0, -1)
    for row, head, query, slot in torch.cartesian_prod(*map(torch.arange, indices.shape)).tolist():
        tile = begins[row, head, query // width * width : (query // width + 1) * width]
        readers = int((tile == begins[row, head, query, slot]).sum())
        index = int(indices[row, head, query, slot])
        expected = (index, -1) if readers >= least else (-1, index)
        assert (int(shared[row, head, query, slot]), int(alone[row, head, query, slot])) == expected


def test_popular_indices_are_seen_and_ascending():
    indices = popular(150, 2, BLOCK, COUNT, 1.0, DEVICE)
    assert (indices.dtype, indices.shape) == (torch.int32, (1, 2, 150, COUNT))
    for head in range(2):
        for query in range(150):
            named = [int(index) for index in indices[0, head, query] if index >= 0]
            assert named == sorted(set(named))
            assert len(named) == min(COUNT, query // BLOCK + 1)
            assert named[-1] <= query // BLOCK


def test_popular_indices_follow_their_exponent():
    """A choice of 1 of 8 visible blocks: the most frequent block's share is its weight over the sum of weights."""
    indices = popular(8 * 4096, 1, 4096, 1, 2.0, DEVICE)[0, 0, -4096:, 0]
    weights = 1 / torch.arange(1, 9).double() ** 2
    shares = indices.bincount(minlength=8).sort(descending=True).values.double().cpu() / 4096
    torch.testing.assert_close(shares, weights / weights.sum(), rtol=0, atol=0.02)


def test_options_are_read_as_they_are_told():
    for name in ("outer_backward", "outer", "mixed", "chosen"):
        for options in KINDS[name].options:
            assert read_options(f"{name}:{told(options)}") == (name, options)


@pytest.mark.parametrize("text", ["present", "other:rows=1", "chosen:size=1"])
def test_unreadable_options_are_refused(text):
    with pytest.raises(ValueError, match=r"size|KIND"):
        read_options(text)
