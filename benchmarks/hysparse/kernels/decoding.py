"""One new token a row over a cache. One layer's cache stands for all layers."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.hysparse.kernels.case import DEVICE, DTYPE, Case
from benchmarks.hysparse.kernels.table import Row, Work
from judgerlvr.hysparse.ops.segments import whole
from judgerlvr.hysparse.ops.selection import blocks_of
from judgerlvr.hysparse.ops.triton import decode as kernels

# (layers, full layers) of each stack.
STACKS = ((36, 9), (49, 5))
DENSE = ("SDPA flash", "SDPA cuDNN", "full + maxima + selection")


def decoding(case: Case) -> None:
    """The first context only. At longer contexts, a batch does not fit beside the library's copies."""
    if case.context != case.options.contexts[0]:
        return
    o, batch = case.options, case.options.decode_batch
    draw = torch.Generator(DEVICE).manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw, device=DEVICE, dtype=DTYPE)

    q = random(batch, case.heads, 1, o.dim)
    k, v = (random(batch, o.kv_heads, case.context, o.dim) for _ in range(2))
    token = 2.0 * 2 * batch * o.kv_heads * o.dim
    row = functools.partial(Row, case.context, case.group, note=f"batch {batch}")
    for name, backend in zip(DENSE, (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION), strict=False):
        library = functools.partial(sdpa, q, k, v, backend)
        case.table.measure(
            row(f"decode {name}"), Work(bytes=token * case.context), lambda library=library: captured(library)
        )
    segments = whole(batch, 1, case.context - 1, DEVICE)
    full = functools.partial(kernels.full_decode, q, k, v, segments, case.selection)
    case.table.measure(row(f"decode {DENSE[-1]}"), Work(bytes=token * case.context), lambda: captured(full))
    read = token * (min(case.context, o.block * o.count) + o.window)
    case.table.measure(
        row("decode sparse + window + gates"), Work(bytes=read), lambda: captured(sparse_layer(case, q, k, v, random))
    )
    derive(case)


def captured(call: Callable[[], object]) -> Callable[[], object]:
    """Replays of a CUDA graph of the call, as a server decodes. At these times, launches would weigh."""
    if DEVICE == "cpu":
        return call
    call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def sdpa(q: Tensor, k: Tensor, v: Tensor, backend: SDPBackend) -> Tensor:
    with sdpa_kernel(backend):
        return functional.scaled_dot_product_attention(q, k, v, enable_gqa=True)


def sparse_layer(case: Case, q: Tensor, k: Tensor, v: Tensor, random: Callable[..., Tensor]) -> Callable[[], Tensor]:
    """A sparse layer whose indices, distinct in a row, are drawn anew for each row and KV head."""
    o = case.options
    near = (random(len(q), o.kv_heads, o.window, o.dim) for _ in range(2))
    gates = (random(len(q), case.heads, o.dim), random(len(q), case.heads, o.dim))
    branches = kernels.Branches(*near, o.window, (case.sinks, case.sinks), gates)
    scores = torch.rand(len(q), o.kv_heads, 1, blocks_of(case.context, o.block), device=DEVICE)
    indices = scores.topk(o.count).indices.sort(-1).values.int()
    segments = whole(len(q), 1, case.context - 1, DEVICE)
    return lambda: kernels.sparse_decode(q, k, v, indices, segments, o.block, branches)


def derive(case: Case) -> None:
    """Stacks of layers against as many of the fastest dense layer, ours included."""
    find = functools.partial(case.table.find, case.context, case.group)
    dense = [ms for name in DENSE if (ms := find(f"decode {name}")) is not None]
    full, sparse = find(f"decode {DENSE[-1]}"), find("decode sparse + window + gates")
    for layers, full_layers in STACKS:
        row = Row(case.context, case.group, f"derived: decode, {layers} layers, {full_layers} full")
        if full is None or sparse is None:
            row.note = "not derived: a layer's time is missing"
        else:
            row.ms = full_layers * full + (layers - full_layers) * sparse
            row.note = f"{layers * min(dense) / row.ms:.2f}x {layers} layers of the fastest dense one"
        case.table.add(row)
