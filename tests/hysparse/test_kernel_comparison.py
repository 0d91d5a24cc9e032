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
from benchmarks.hysparse.kernels.candidates.kinds import KINDS, read_options, told  # noqa: E402
from benchmarks.hysparse.kernels.indices import popular  # noqa: E402
from benchmarks.hysparse.kernels.table import Row, Table  # noqa: E402

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
