"""Our layers over a whole sequence: full, window, sparse, and the stack derived from them."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from hysparse.case import DEVICE, Case, sources
from hysparse.indices import jaccard
from hysparse.libraries import BASELINES
from hysparse.table import Row, Work

from judgerlvr.hysparse.ops.selection import blocks_of
from judgerlvr.hysparse.ops.triton import attention
from judgerlvr.hysparse.ops.triton.blocks import select
from judgerlvr.hysparse.ops.triton.tiles import block_readers, mean_union

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
    shape = (*q.shape[:2], blocks_of(case.context, selection.block), min(chunk, case.context))
    maxima = torch.randn(shape, generator=draw, device=DEVICE)
    lse = torch.randn(q.shape[:3], generator=draw, device=DEVICE)
    indices = q.new_empty(attention.index_shape(q, k, selection), dtype=torch.int32)

    def run() -> None:
        for first in range(0, case.context, chunk):
            select(maxima[..., : case.context - first].contiguous(), lse, segments, selection, first, indices)

    return run


def full(case: Case) -> None:
    """Our full layer: alone, and with block maxima and selection."""
    segments, selection = case.segments, case.selection
    inputs = [tensor.detach() for tensor in case.inputs]
    row = functools.partial(Row, case.context, case.group)
    plain = functools.partial(attention.causal_attention, *inputs, segments)
    case.table.measure(row("full"), case.work(), lambda: plain)
    case.table.measure(row("full + maxima"), case.work(), lambda: functools.partial(with_maxima, case))
    # every visible block's maximum is read once
    maxima = Work(bytes=2.0 * case.heads * case.context**2 / case.options.block)
    case.table.measure(row("selection"), maxima, lambda: selecting(case))
    case.both(
        "full + maxima + selection",
        lambda q, k, v: attention.full_attention_with_selection(q, k, v, segments, selection)[0],
        case.work(),
    )


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
        )


def stacks(case: Case) -> None:
    """36 layers at 1:3 from the layers' times, as a ratio to 36 of the fastest library's."""
    names = [name for name, _ in sources(case)]
    for suffix in ("", " + backward"):
        find = functools.partial(case.table.find, case.context, case.group)
        dense = [ms for name in BASELINES if (ms := find(name + suffix)) is not None]
        for name in names:
            readers = find("readers", name) if suffix else 0.0
            parts = [find("full + maxima + selection" + suffix), find("window" + suffix), find("union", name)]
            parts += [find("sparse" + suffix, name), readers]
            row = Row(case.context, case.group, "derived: 36 layers at 1:3" + suffix, name)
            if None in parts or not dense:
                row.note = "not derived: a layer's time is missing"
            else:
                full_ms, window_ms, union_ms, sparse_ms, readers_ms = parts
                row.ms = FULL_LAYERS * (full_ms + union_ms + readers_ms) + SPARSE_LAYERS * (sparse_ms + window_ms)
                best = 36 * min(dense)
                row.note = f"{best / row.ms:.2f}x the fastest library's {best:.4g} ms"
            case.table.add(row)
