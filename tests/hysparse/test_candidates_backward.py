"""The backward pass over single readers and the choice of a kernel, against the reference with the same indices.

Runs where triton is installed; on a CPU set TRITON_INTERPRET=1 (scripts/test_kernels.sh makes the environment).
"""

import argparse
import dataclasses
import os
import sys

import pytest
import torch

pytest.importorskip("triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("no GPU, and TRITON_INTERPRET is not 1", allow_module_level=True)

from benchmarks.hysparse.kernels.candidates import kv_outer, mixed, processes  # noqa: E402
from benchmarks.hysparse.kernels.candidates.chosen import Chooser, Thresholds  # noqa: E402
from benchmarks.hysparse.kernels.candidates.listed import Listed  # noqa: E402
from benchmarks.hysparse.kernels.candidates.ordered_lists import ordered_lists  # noqa: E402
from benchmarks.hysparse.kernels.candidates.outer_backward import BackwardOptions  # noqa: E402
from benchmarks.hysparse.kernels.table import Row, Table  # noqa: E402
from judgerlvr.hysparse.ops import reference  # noqa: E402
from judgerlvr.hysparse.ops.triton.union_tiles import UnionTiles  # noqa: E402
from judgerlvr.hysparse.segments import Segments, from_lengths, whole  # noqa: E402

CLOSE = {"rtol": 1e-4, "atol": 2e-5}
BLOCK, COUNT = 16, 2
SEGMENTS = {
    "whole": whole(2, 40),
    "packed": from_lengths(torch.tensor([0, 30, 31, 40, 52]), 53),
    "cached": whole(1, 9, offset=39),
}
OUTER = kv_outer.OuterOptions(rows=16, task=24, span=32, programs=2, merged=16)
MIXED = mixed.MixedOptions(least=3, outer=OUTER)
# Tasks so small that most blocks take further tasks, and one KV head a launch.
SMALL = BackwardOptions(rows=16, task=5, span=32, programs=2, merged=16, megabytes=0)


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


def through(layers, indices, segments, group):
    shared = layers.share(indices, segments, BLOCK, group)
    return lambda q, k, v, sinks: layers.sparse_attention(q, k, v, shared, segments, BLOCK, sinks)


def expected(indices, segments):
    return lambda q, k, v, sinks: reference.sparse_attention(q, k, v, indices, segments, BLOCK, sinks)


@pytest.mark.parametrize("name", SEGMENTS)
def test_gradients(name):
    segments = on_device(SEGMENTS[name])
    *case, indices = drawn(SEGMENTS[name], 4, 2, 16)
    got = gradients(through(Listed(OUTER, SMALL), indices, segments, 2), *case)
    torch.testing.assert_close(got, gradients(expected(indices, segments), *case), **CLOSE)


@pytest.mark.parametrize(("heads", "kv_heads"), [(2, 2), (4, 1), (8, 1)])
def test_gradients_of_groups(heads, kv_heads):
    segments = on_device(SEGMENTS["packed"])
    *case, indices = drawn(SEGMENTS["packed"], heads, kv_heads, 32)
    options = dataclasses.replace(SMALL, megabytes=1)
    got = gradients(through(Listed(OUTER, options), indices, segments, heads // kv_heads), *case)
    torch.testing.assert_close(got, gradients(expected(indices, segments), *case), **CLOSE)


def test_gradients_behind_the_mixed_forward_pass():
    segments = on_device(SEGMENTS["packed"])
    *case, indices = drawn(SEGMENTS["packed"], 4, 1, 16)
    got = gradients(through(Listed(MIXED, SMALL), indices, segments, 4), *case)
    torch.testing.assert_close(got, gradients(expected(indices, segments), *case), **CLOSE)


def test_gradients_repeat_bitwise():
    segments = on_device(SEGMENTS["whole"])
    *case, indices = drawn(SEGMENTS["whole"], 4, 2, 16)
    one, two = (gradients(through(Listed(OUTER, SMALL), indices, segments, 2), *case) for _ in range(2))
    assert all(torch.equal(first, second) for first, second in zip(one, two, strict=True))


@pytest.mark.parametrize("name", SEGMENTS)
def test_pairs_ascend_and_further_tasks_have_slots(name):
    """Tasks of a span, an owner and a block together hold the readers in ascending order."""
    segments, span, most = on_device(SEGMENTS[name]), 32, 5
    *_, indices = drawn(SEGMENTS[name], 4, 2, 16)
    ordered = ordered_lists(indices, segments, BLOCK, span, most)
    entry, first, size, begin, owner = (table.tolist() for table in ordered.tables)
    bounds, slot, follower = ordered.bounds.tolist(), ordered.slot.tolist(), ordered.follower.tolist()
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


def choice(indices, segments, **thresholds):
    """What a chooser with these thresholds shares."""
    chooser = Chooser(Listed(MIXED, SMALL), Listed(OUTER, SMALL), Thresholds(**thresholds))
    return chooser.share(indices, segments, BLOCK, 4)


def test_short_rows_keep_the_present_kernel():
    segments = on_device(SEGMENTS["packed"])
    indices = drawn(SEGMENTS["packed"], 4, 1, 16)[-1]
    assert isinstance(choice(indices, segments, mixed=0.0, queries=54), UnionTiles)


def test_much_overlap_keeps_the_present_kernel():
    segments = on_device(whole(1, 40))
    agreed = torch.zeros(1, 1, 40, 1, dtype=torch.int32, device=DEVICE)
    assert isinstance(choice(agreed, segments, mixed=1.1, queries=1), UnionTiles)


@pytest.mark.parametrize(("outer", "taken"), [(9.0, MIXED), (1.2, OUTER)])
def test_little_overlap_takes_a_candidate(outer, taken):
    """16 queries of one tile name two blocks of three, so a union holds 1.5 times the blocks of a query."""
    segments, indices = on_device(whole(1, 48)), torch.tensor([[0, 1], [1, 2]], dtype=torch.int32, device=DEVICE)
    choices = indices.repeat(24, 1)[None, None].contiguous()
    assert choice(choices, segments, mixed=1.2, outer=outer, queries=1).forward == taken


def test_gradients_of_a_choice():
    segments = on_device(SEGMENTS["whole"])
    *case, indices = drawn(SEGMENTS["whole"], 4, 2, 16)
    chooser = Chooser(Listed(MIXED, SMALL), Listed(OUTER, SMALL), Thresholds(mixed=1.0, queries=1))
    got = gradients(through(chooser, indices, segments, 2), *case)
    torch.testing.assert_close(got, gradients(expected(indices, segments), *case), **CLOSE)


def test_a_process_that_dies_leaves_the_rows_before(tmp_path):
    table = Table(tmp_path / "all", 60)
    for folder in ("all", "one"):
        (tmp_path / folder).mkdir()
    rows = '{"rows": [{"context": 1, "group": 1, "what": "outer", "ms": 2.0}]}'
    write = f"import pathlib, os; pathlib.Path({str(tmp_path / 'one/hysparse-kernels.json')!r}).write_text({rows!r})"
    ending = processes.ran([sys.executable, "-c", f"{write}; os.abort()"], 60)
    processes.adopt(table, "outer", tmp_path / "one", ending)
    assert [(row.what, row.ms) for row in table.rows] == [("outer", 2.0), ("outer", None)]
    assert table.rows[1].note == "ended with code -6"


def test_a_process_that_hangs_is_killed():
    assert processes.ran([sys.executable, "-c", "import time; time.sleep(60)"], 0.2) == "killed after 0 s"


def test_layers_are_derived_from_blocks_beside_the_fastest_library(tmp_path):
    """Nine blocks of 100 ms beside 36 layers of 50 ms. FA3 has no backward pass here, so cuDNN is the fastest."""
    table = Table(tmp_path, 60)
    for what, ms in (("FA3", 40.0), ("SDPA cuDNN + backward", 50.0), (f"mixed: {processes.BLOCK} + backward", 100.0)):
        table.rows.append(Row(1, 1, what, ms=ms))
    processes.derive(table, argparse.Namespace())
    assert table.rows[-1].what == "mixed: derived: 36 layers, 9 measured blocks + backward"
    assert (table.rows[-1].ms, table.rows[-1].note[:5]) == (900.0, "2.00x")
