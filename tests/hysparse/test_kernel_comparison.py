"""The comparison of sparse kernels: its indices, its options, its processes and its derived rows.

Runs where triton is installed; on a CPU set TRITON_INTERPRET=1 (scripts/test_kernels.sh makes the environment).
"""

import argparse
import os
import sys

import pytest
import torch

pytest.importorskip("triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("no GPU, and TRITON_INTERPRET is not 1", allow_module_level=True)

from benchmarks.hysparse.kernels.candidates import processes  # noqa: E402
from benchmarks.hysparse.kernels.candidates.cells import Measured  # noqa: E402
from benchmarks.hysparse.kernels.candidates.costs import Cost, backward_cost, forward_cost  # noqa: E402
from benchmarks.hysparse.kernels.candidates.kinds import KINDS, Layers, outer, read_options, told  # noqa: E402
from benchmarks.hysparse.kernels.case import Case  # noqa: E402
from benchmarks.hysparse.kernels.indices import popular  # noqa: E402
from benchmarks.hysparse.kernels.table import Row, Table  # noqa: E402
from judgerlvr.hysparse.ops.triton import attention  # noqa: E402
from judgerlvr.hysparse.ops.triton.kv_outer import OuterOptions  # noqa: E402
from judgerlvr.hysparse.ops.triton.kv_outer_backward import BackwardOptions  # noqa: E402
from judgerlvr.hysparse.ops.triton.overlap import ByOverlap  # noqa: E402

BLOCK, COUNT = 16, 3


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
    for name in ("outer_backward", "outer", "chosen"):
        for options in KINDS[name].options:
            assert read_options(f"{name}:{told(options)}") == (name, options)


@pytest.mark.parametrize("text", ["union", "other:rows=1", "chosen:size=1"])
def test_unreadable_options_are_refused(text):
    with pytest.raises(ValueError, match=r"size|KIND"):
        read_options(text)


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
    for what, ms in (("FA3", 40.0), ("SDPA cuDNN + backward", 50.0), (f"outer: {processes.BLOCK} + backward", 100.0)):
        table.rows.append(Row(1, 1, what, ms=ms))
    processes.derive(table, argparse.Namespace())
    assert table.rows[-1].what == "outer: derived: 36 layers, 9 measured blocks + backward"
    assert (table.rows[-1].ms, table.rows[-1].note[:5]) == (900.0, "2.00x")


GROUP, DIM, ITEM, HEADS, TOKENS = 2, 16, 2, 2, 144
TILE = 2 * BLOCK * DIM * ITEM
PRODUCT = 2 * BLOCK * DIM
QUERIES = HEADS * GROUP * TOKENS


@pytest.fixture(scope="module")
def indices():
    return popular(TOKENS, HEADS, BLOCK, COUNT, 1.0, DEVICE)


@pytest.fixture
def case(tmp_path):
    options = argparse.Namespace(kv_heads=HEADS, dim=DIM, block=BLOCK, count=COUNT)
    return Case(Table(tmp_path, 60), options, TOKENS, GROUP)


def visits(indices, width):
    """Visits of blocks by tiles of ``width`` queries, literally."""
    tiles = [indices[0, head, low : low + width] for head in range(HEADS) for low in range(0, TOKENS, width)]
    return sum(len(set(tile.flatten().tolist()) - {-1}) for tile in tiles)


def union_costs(case, indices):
    union = attention.share(indices, case.segments, BLOCK, GROUP)
    rows = union.width * GROUP
    return union, visits(indices, union.width), rows


def test_costs_of_the_forward_pass_over_unions(case, indices):
    union, count, rows = union_costs(case, indices)
    moved = sum(TILE for _ in range(count)) + QUERIES * DIM * ITEM * len(("queries", "outputs"))
    expected = Cost(count * rows * PRODUCT * len(("scores", "output")), moved)
    assert forward_cost(case, union, attention) == expected


def test_costs_of_the_backward_pass_over_unions(case, indices):
    union, count, rows = union_costs(case, indices)
    products = len(("scores", "weights' gradient", "dQ")) + len(("scores", "weights' gradient", "dV", "dK"))
    each = TILE + rows * DIM * ITEM * len(("queries", "output gradients"))
    once = QUERIES * DIM * ITEM * len(("queries", "output gradients", "dQ"))
    once += HEADS * TOKENS * DIM * (ITEM + ITEM + 4 + 4)  # K, V, dK and dV
    assert backward_cost(case, union, attention) == Cost(count * rows * PRODUCT * products, count * each + once)


SPAN, TASK, READERS = 48, 6, 4
SIZES = {"rows": READERS * GROUP, "task": TASK, "span": SPAN}


def tasks_of(indices):
    """Sizes of the tasks of each span, head and block, literally."""
    for head in range(HEADS):
        for low in range(0, TOKENS, SPAN):
            for block in range(TOKENS // BLOCK):
                readers = sum(block in row for row in indices[0, head, low : low + SPAN].tolist())
                yield [min(TASK, readers - begin) for begin in range(0, readers, TASK)]


def outer_layers(case, indices):
    layers = outer(OuterOptions(**SIZES), BackwardOptions(**SIZES))
    return layers, layers.share(indices, case.segments, BLOCK, GROUP)


def test_costs_of_the_kv_outer_forward_pass(case, indices):
    layers, shared = outer_layers(case, indices)
    flops, moved = 0, QUERIES * DIM * ITEM
    for sizes in tasks_of(indices):
        for size in sizes:
            flops += -(-size // READERS) * READERS * GROUP * PRODUCT * len(("scores", "output"))
            moved += TILE + size * GROUP * DIM * ITEM * len(("query", "partial written", "partial read"))
    assert forward_cost(case, shared, layers) == Cost(flops, moved)


def test_costs_of_the_kv_outer_backward_pass(case, indices):
    layers, shared = outer_layers(case, indices)
    flops, moved, gradients = 0, QUERIES * DIM * ITEM, 2 * BLOCK * DIM * 4
    for sizes in tasks_of(indices):
        for number, size in enumerate(sizes):
            padded = -(-size // READERS) * READERS * GROUP
            flops += padded * PRODUCT * len(("scores", "weights' gradient", "dV", "dK", "dQ"))
            moved += TILE + padded * DIM * ITEM * len(("query", "output gradient"))
            moved += size * GROUP * DIM * ITEM * len(("part written", "part read"))
            # The first task reads and writes the block's gradients. A further task writes its own, which a sum reads.
            moved += 2 * gradients
            # The sum of further tasks reads and writes the block's gradients.
            moved += 2 * gradients if number == 1 else 0
    assert max(len(sizes) for sizes in tasks_of(indices)) > 2
    assert backward_cost(case, shared, layers) == Cost(flops, moved)


def test_rates_are_executed_work_over_time(tmp_path):
    """3 GFLOP and 5 MB in 2 ms are 1.5 TFLOP/s and 2.5 GB/s."""
    table = Table(tmp_path, 60)
    table.add(Row(1, 1, "outer", "trained", ms=2.0, union=90.0, executed=3e9, moved=5e6))
    row = (tmp_path / "hysparse-kernels.md").read_text().splitlines()[-1]
    assert row == "| 1 | 1 | outer | trained | 2 |  |  | 90 | 1.5 | 0.005 | 2.5 |  |"


def test_sets_of_indices_stand_in_a_section(tmp_path):
    table = Table(tmp_path, 60)
    table.add(Row(1, 1, "indices", "trained", note="sha256 0", union=90.25, jaccard=0.256))
    lines = (tmp_path / "hysparse-kernels.md").read_text().splitlines()
    assert lines[-5] == "## Union size, Jaccard"
    assert lines[-1] == "| 1 | trained | 90.2 | 0.26 | sha256 0 |"


def test_rows_of_a_process_keep_their_figures(tmp_path):
    one, whole = Table(tmp_path / "one", 60), Table(tmp_path / "all", 60)
    for table in (one, whole):
        table.out.mkdir()
    one.add(Row(1, 1, "outer", "trained", ms=2.0, union=90.0, executed=3e9, moved=5e6))
    processes.adopt(whole, "outer", one.out, "")
    assert whole.rows == one.rows


def choosing(case, indices, backward_spread):
    """A choice whose forward pass is union tiles', at any overlap."""
    kernels = ByOverlap(OuterOptions(**SIZES), BackwardOptions(**SIZES), 99.0, backward_spread, queries=0)
    return Layers(kernels), kernels.share(indices, case.segments, BLOCK, GROUP)


def test_a_choice_of_union_tiles_in_both_passes_costs_what_union_tiles_cost(case, indices):
    layers, shared = choosing(case, indices, 99.0)
    union = attention.share(indices, case.segments, BLOCK, GROUP)
    assert backward_cost(case, shared, layers) == backward_cost(case, union, attention)


def test_a_choice_with_a_kv_outer_backward_pass_costs_what_that_pass_costs(case, indices):
    layers, shared = choosing(case, indices, 0.0)
    assert backward_cost(case, shared, layers) == backward_cost(case, *reversed(outer_layers(case, indices)))


@pytest.mark.parametrize(("backward_spread", "made"), [(99.0, "BlockReaders"), (0.0, "OrderedLists")])
def test_what_is_prepared_for_the_backward_pass_is_what_the_pass_reads(case, indices, backward_spread, made):
    layers, shared = choosing(case, indices, backward_spread)
    calls = []
    case.table.measure = lambda row, work, make: calls.append(make())
    Measured(case, "drawn", "chosen", layers, indices, 1.0).readers(shared)
    assert type(calls[0]()).__name__ == made
