"""Our layers over a whole sequence: full, window, sparse, and the stack derived from them."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch

from benchmarks.hysparse.kernels.case import DEVICE, Case, sources
from benchmarks.hysparse.kernels.indices import jaccard
from benchmarks.hysparse.kernels.libraries import BASELINES
from benchmarks.hysparse.kernels.table import Row, Work
from judgerlvr.hysparse.ops.selection import blocks_of
from judgerlvr.hysparse.ops.triton import attention
from judgerlvr.hysparse.ops.triton.selection import select
from judgerlvr.hysparse.ops.triton.union_tiles import block_readers, mean_union

FULL_LAYERS, SPARSE_LAYERS = 9, 27


@torch.no_grad()
def with_maxima(case: Case) -> None:
    """The full layer's forward kernel over all chunks, block maxima written and thrown away."""
    (q, k, v), segments = case.inputs, case.segments
    out, lse = torch.empty_like(q), q.new_empty(q.shape[:3], dtype=torch.float32)
    chunk = attention.chunk_of(q, segments, case.selection)
    for first in range(0, case.context, chunk):
        attention.run_chunk(q, k, v, None, segments, 0, case.selection, out, lse, first, chunk)


def selecting(case: Case) -> Callable[[], None]:
    """Selection over all chunks, from random maxima."""
    q, k, _ = case.inputs
    segments, selection = case.segments, case.selection
    chunk = attention.chunk_of(q, segments, selection)
    draw = torch.Generator(DEVICE).manual_seed(0)
    most = blocks_of(case.context, selection.block) * min(chunk, case.context)
    maxima = torch.randn(*q.shape[:2], most, generator=draw, device=DEVICE)
    lse = torch.randn(q.shape[:3], generator=draw, device=DEVICE)
    indices = q.new_empty(attention.index_shape(q, k, selection), dtype=torch.int32)

    def run() -> None:
        for first in range(0, case.context, chunk):
            size = min(chunk, case.context - first)
            blocks = blocks_of(first + size, selection.block)
            of_chunk = maxima.view(-1)[: case.heads * blocks * size].view(1, case.heads, blocks, size)
            select(of_chunk, lse, segments, selection, first, indices)

    return run


def full(case: Case) -> None:
    """Our full layer, with block maxima and selection, and without."""
    segments, selection = case.segments, case.selection
    row = functools.partial(Row, case.context, case.group)
    emitting = case.table.measure(row("full + maxima"), case.work(), lambda: functools.partial(with_maxima, case))
    # Every visible block's maximum is read once.
    maxima = Work(bytes=2.0 * case.heads * case.context**2 / case.options.block)
    choosing = case.table.measure(row("selection"), maxima, lambda: selecting(case))
    if emitting and choosing:
        case.table.add(row("derived: selection / full + maxima", note=f"{100 * choosing / emitting:.1f} %"))
    case.both(
        "full + maxima + selection",
        lambda q, k, v: attention.full_attention_with_selection(q, k, v, segments, selection)[0],
        case.work(),
    )
    inputs = [tensor.detach() for tensor in case.inputs]
    plain = functools.partial(attention.causal_attention, *inputs, segments)
    case.table.measure(row("full"), case.work(), lambda: plain)


def window(case: Case) -> None:
    segments, size = case.segments, case.options.window
    case.both(
        "window", lambda q, k, v: attention.window_attention(q, k, v, segments, size, case.sinks), case.work(size)
    )


def sparse(case: Case) -> None:
    """Attention over selected blocks: the union of neighbouring queries, and the layer."""
    o, segments = case.options, case.segments
    for name, make in sources(case):
        try:
            indices = make()
        except (ValueError, OSError) as error:
            case.table.add(Row(case.context, case.group, "sparse", name, note=str(error)))
            continue
        join = functools.partial(attention.share, indices, segments, o.block, case.group)
        row = functools.partial(Row, case.context, case.group, source=name)
        if case.table.measure(row("union"), Work(bytes=4.0 * indices.numel()), lambda join=join: join) is None:
            continue
        union = join()
        shared = (
            f"union of {union.width} queries {mean_union(union):.1f} blocks, Jaccard {jaccard(indices, o.block):.2f}"
        )
        readers = functools.partial(block_readers, union)
        case.table.measure(row("readers"), Work(bytes=4.0 * union.begin.numel()), lambda readers=readers: readers)
        case.both(
            "sparse",
            lambda q, k, v, union=union: attention.sparse_attention(q, k, v, union, segments, o.block, case.sinks),
            case.work(o.block * o.count),
            name,
            shared,
            wide=True,
        )


def gates(case: Case) -> None:
    """Gates and sum of both branches, and the extra work of training at the shared K and V."""
    (q, k, _), heads = case.inputs, case.heads
    row = functools.partial(Row, case.context, case.group)
    # Forward reads two branches and two gates and writes a sum. Backward reads five tensors and writes four.
    work = Work(bytes=5.0 * q.nbytes)
    leaf = lambda: q.detach().requires_grad_()  # noqa: E731
    logits = lambda: q.detach().view(1, case.context, heads * case.options.dim).requires_grad_()  # noqa: E731

    def forward() -> Callable[[], object]:
        inputs = (leaf(), leaf(), logits(), logits())
        return torch.no_grad()(lambda: attention.gated_sum(*inputs))

    def backward() -> Callable[[], object]:
        inputs = (leaf(), leaf(), logits(), logits())
        grad = case.grad.view(1, case.context, heads, -1).transpose(1, 2)
        return lambda: torch.autograd.grad(attention.gated_sum(*inputs), inputs, grad)

    case.table.measure(row("gates and sum"), work, forward)
    case.table.measure(row("gates and sum + backward"), Work(bytes=14.0 * q.nbytes), backward)
    case.table.measure(row("float32 K and V"), Work(bytes=2 * 17.0 * k.nbytes), lambda: shared_copies(case))


def shared_copies(case: Case) -> Callable[[], object]:
    """K and V widened to float32 for three sparse layers, whose gradients are summed and rounded."""
    keys = [tensor.detach().requires_grad_() for tensor in case.inputs[1:]]
    grads = [torch.randn_like(key, dtype=torch.float32) for key in keys]

    def run() -> None:
        for key, grad in zip(keys, grads, strict=True):
            wide = key.float()
            torch.autograd.grad([wide.view_as(wide) for _ in range(3)], key, [grad] * 3)

    return run


def stacks(case: Case) -> None:
    """36 layers at 1:3, from the layers' times and from a measured block's, beside 36 of the fastest library's."""
    names = [name for name, _ in sources(case)]
    for suffix in ("", " + backward"):
        find = functools.partial(case.table.find, case.context, case.group)
        dense = [ms for name in BASELINES if (ms := find(name + suffix)) is not None]
        for name in names:
            block = find(f"block of 1 + 3 layers{suffix}", name)
            compare(case, "derived: 36 layers, 9 measured blocks" + suffix, name, block and FULL_LAYERS * block, dense)
            compare(case, "derived: 36 layers at 1:3" + suffix, name, stack_ms(case, name, suffix), dense)


def stack_ms(case: Case, name: str, suffix: str) -> float | None:
    """Sum of the layers' times. None if a time is missing."""
    find = functools.partial(case.table.find, case.context, case.group)
    once = [find("full + maxima + selection" + suffix), find("union", name)]
    once += [find("readers", name), find("float32 K and V")] if suffix else []
    each = [find("sparse" + suffix, name), find("window" + suffix), find("gates and sum" + suffix)]
    if None in once + each:
        return None
    return FULL_LAYERS * sum(once) + SPARSE_LAYERS * sum(each)


def compare(case: Case, what: str, source: str, ms: float | None, dense: list[float]) -> None:
    """A row of a stack beside the fastest library's layers."""
    row = Row(case.context, case.group, what, source)
    if ms is None or not dense:
        row.note = "not derived: a layer's time is missing"
    else:
        row.ms, best = ms, 36 * min(dense)
        row.note = f"{best / ms:.2f}x the fastest library's {best:.4g} ms"
    case.table.add(row)
