"""The lab's attention of one token over a cache, under Triton's interpreter, against a literal loop."""

import os
import subprocess
import sys

import pytest
import torch

from benchmarks.lab.decoding import attend

CHECK = """
import sys, torch
from benchmarks.lab.decoding import attend, attend_by_kernel
places, visible, at = map(int, sys.argv[1:])
draw = torch.Generator().manual_seed(0)
query = torch.randn(3, 2, 4, 8, generator=draw)
keys, values = torch.randn(2, 3, 2, places, 8, generator=draw)
place = torch.tensor([at])
found = attend_by_kernel(query, keys, values, visible, place)
torch.testing.assert_close(found, attend(query, keys, values, visible, place))
"""


def literal(query, keys, values, at):
    mixed = torch.zeros_like(query)
    for n, head, one in [(n, h, g) for n in range(3) for h in range(2) for g in range(4)]:
        scores = keys[n, head, : at + 1] @ query[n, head, one] / query.shape[-1] ** 0.5
        mixed[n, head, one] = scores.softmax(0) @ values[n, head, : at + 1]
    return mixed


@pytest.mark.parametrize("at", [0, 5, 31])
def test_attention_over_the_cache_is_that_of_a_loop(draw, at):
    query = torch.randn(3, 2, 4, 8, generator=draw)
    keys, values = torch.randn(2, 3, 2, 64, 8, generator=draw)
    found = attend(query, keys, values, 32, torch.tensor([at]))
    torch.testing.assert_close(found, literal(query, keys, values, at))


@pytest.mark.parametrize("sizes", [("64", "32", "7"), ("96", "96", "95"), ("96", "96", "0")])
def test_the_kernel_gives_what_the_library_gives(sizes):
    pytest.importorskip("triton")
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", CHECK, *sizes], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("places", [32, 256])
def test_the_kernel_compiles_for_a_hopper_gpu(places):
    triton = pytest.importorskip("triton")
    compiler, backends = pytest.importorskip("triton.compiler"), pytest.importorskip("triton.backends.compiler")
    from benchmarks.lab.decoding_kernel import attend_row

    sizes = {"group": 4, "width": 32, "places": places}
    types = dict.fromkeys(("query", "keys", "values", "mixed"), "*bf16") | {"at": "*i64", "scale": "fp32"}
    signature = {name: "constexpr" if name in sizes else types.get(name, "i32") for name in attend_row.arg_names}
    source = compiler.ASTSource(attend_row, signature, sizes)
    assert triton.compile(source, target=backends.GPUTarget("cuda", 90, 32)).asm["ptx"]
