"""Compare the candidate tiles of each kernel, and run all later rows with the fastest."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.hysparse.kernels.case import DEVICE, Case
from benchmarks.hysparse.kernels.indices import drifting
from benchmarks.hysparse.kernels.prefill import selecting, with_maxima
from benchmarks.hysparse.kernels.table import Row, Work
from judgerlvr.hysparse.ops.triton import attention
from judgerlvr.hysparse.ops.triton import selection as blocks
from judgerlvr.hysparse.ops.triton.tile_shapes import CANDIDATES, TABLE

PER_GROUP = ("sparse_forward", "sparse_backward_q", "sparse_backward_kv", "select", "select_sorted")


def tune(case: Case) -> None:
    """At the first context: all kernels with a call here. For later groups: kernels whose tiles hold the group."""
    if case.context != case.options.contexts[0]:
        return
    kernels = tuple(CALLS) if case.group == case.options.groups[0] else PER_GROUP
    for kernel in [name for name in kernels if name in case.options.tune]:
        make = functools.partial(CALLS[kernel], case)
        times = {}
        for tiles in CANDIDATES[kernel]:
            TABLE[kernel] = tiles
            ms = case.table.measure(Row(case.context, case.group, f"tune {kernel} {tiles}"), Work(), make)
            times[tiles] = float("inf") if ms is None else ms
        TABLE[kernel] = min(CANDIDATES[kernel], key=times.__getitem__)
    chosen = ",".join(f"{kernel}={tiles}" for kernel, tiles in TABLE.items())
    case.table.add(Row(case.context, case.group, "tuned", note=chosen))


def backward(case: Case, call: Callable[..., Tensor]) -> Callable[[], object]:
    """The backward pass alone, over one forward pass's graph."""
    inputs = [tensor.detach().requires_grad_() for tensor in case.inputs]
    out = call(*inputs)
    return lambda: torch.autograd.grad(out, inputs, case.grad, retain_graph=True)


def full_backward(case: Case) -> Callable[[], object]:
    return backward(case, lambda q, k, v: attention.causal_attention(q, k, v, case.segments))


def window_forward(case: Case) -> Callable[[], object]:
    inputs = [tensor.detach() for tensor in case.inputs]
    return lambda: attention.window_attention(*inputs, case.segments, case.options.window, case.sinks)


def sparse_call(case: Case) -> Callable[..., Tensor]:
    o = case.options
    indices = drifting(case.context, o.kv_heads, o.block, o.count, 0.9, DEVICE)
    union = attention.share(indices, case.segments, o.block, case.group)
    return lambda q, k, v: attention.sparse_attention(q, k, v, union, case.segments, o.block, case.sinks)


def sparse_forward(case: Case) -> Callable[[], object]:
    return functools.partial(sparse_call(case), *(tensor.detach() for tensor in case.inputs))


def sparse_backward(case: Case) -> Callable[[], object]:
    return backward(case, sparse_call(case))


def sorting(case: Case) -> Callable[[], object]:
    """The selection that runs for more blocks than registers hold."""
    run = selecting(case)

    def sorted_instead() -> None:
        held, blocks.MOST_HELD = blocks.MOST_HELD, 0
        try:
            run()
        finally:
            blocks.MOST_HELD = held

    return sorted_instead


CALLS: dict[str, Callable[[Case], Callable[[], object]]] = {
    "forward": lambda case: functools.partial(with_maxima, case),
    "window": window_forward,
    "backward_q": full_backward,
    "backward_kv": full_backward,
    "sparse_forward": sparse_forward,
    "sparse_backward_q": sparse_backward,
    "sparse_backward_kv": sparse_backward,
    "select": selecting,
    "select_sorted": sorting,
}
