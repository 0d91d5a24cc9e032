"""HySparse's kernels beside library attention on one GPU: one table, medians, the roofline beside each row.

    PYTHONPATH=. python benchmarks/hysparse_kernels.py OUT_DIR [--contexts 32768 65536] [--groups 4 16] [--seconds 420]

Baselines are SDPA on cuDNN and on flash, flex_attention, and FA3 where vLLM brings it. Ours: the full layer with
block maxima and selection, attention over selected blocks, and the window, forward and backward. Indices come from
sets that drift with overlap 0.9, from independent draws, and from a trained model with --indices FILE. The stack of
36 layers at 1:3 (9 full, 27 sparse) is derived from the layers' times, not run.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from hysparse_indices import drifting, jaccard, stored
from hysparse_table import Row, Table, Work
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from judgerlvr.hysparse.ops.selection import Selection
from judgerlvr.hysparse.ops.triton import attention
from judgerlvr.hysparse.ops.triton.tiles import mean_union, queries_a_tile, union_tiles
from judgerlvr.hysparse.segments import whole

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# Triton's interpreter multiplies bfloat16 matrices as if they held integers.
DTYPE = torch.bfloat16 if DEVICE == "cuda" else torch.float16
FULL_LAYERS, SPARSE_LAYERS = 9, 27
BASELINES = ("SDPA cuDNN", "SDPA flash", "flex_attention", "FA3")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--contexts", type=int, nargs="+", default=[32768, 65536, 131072])
    parser.add_argument("--groups", type=int, nargs="+", default=[4, 16], help="query heads a KV head")
    parser.add_argument("--seconds", type=float, default=420, help="begin no row after this; what remains is skipped")
    parser.add_argument("--indices", type=Path, help="a trained model's indices, .pt")
    parser.add_argument("--only", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--kv-heads", type=int, default=8)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--block", type=int, default=64)
    parser.add_argument("--count", type=int, default=16, help="selected blocks")
    parser.add_argument("--window", type=int, default=128)
    return parser.parse_args()


@dataclass(frozen=True)
class Case:
    """One context and group size: inputs of one layer, batch 1, and where its rows go."""

    table: Table
    options: argparse.Namespace
    context: int
    group: int

    @property
    def heads(self) -> int:
        return self.options.kv_heads * self.group

    @functools.cached_property
    def inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        draw = torch.Generator(DEVICE).manual_seed(0)
        shapes = [(1, n, self.context, self.options.dim) for n in (self.heads, *[self.options.kv_heads] * 2)]
        q, k, v = (torch.randn(s, generator=draw, device=DEVICE, dtype=DTYPE).requires_grad_() for s in shapes)
        return q, k, v

    @functools.cached_property
    def grad(self) -> Tensor:
        return torch.randn_like(self.inputs[0])

    @functools.cached_property
    def sinks(self) -> Tensor:
        return torch.zeros(self.heads, device=DEVICE)

    @property
    def bytes(self) -> float:
        """Query, output, keys and values once."""
        return 2.0 * 2 * (self.heads + self.options.kv_heads) * self.context * self.options.dim

    def work(self, most: int | None = None) -> Work:
        """Attention in which a query sees its last or best ``most`` keys: two products a pair and dimension."""
        most = min(most or self.context, self.context)
        pairs = most * (most + 1) / 2 + (self.context - most) * most
        return Work(4.0 * self.heads * self.options.dim * pairs, self.bytes)

    def both(self, what: str, call: Callable[..., Tensor], work: Work, source: str = "", note: str = "") -> None:
        """A row for the forward pass and one for forward and backward, counted as 3.5 times its operations."""
        row = functools.partial(Row, self.context, self.group, source=source, note=note)
        inputs = self.inputs

        def backward() -> None:
            torch.autograd.grad(call(*inputs), inputs, self.grad)

        def forward() -> None:
            with torch.no_grad():
                call(*inputs)

        if self.table.measure(row(what), work, lambda: forward) is None:
            return
        self.table.measure(row(f"{what} + backward"), Work(3.5 * work.flops, 3 * work.bytes), lambda: backward)


def sdpa(backend: SDPBackend) -> Callable[..., Tensor]:
    def call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        with sdpa_kernel(backend):
            return functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)

    return call


def flex(context: int) -> Callable[..., Tensor]:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    # compiled, neither holds a mask or logits of context x context
    compiled = torch.compile if DEVICE == "cuda" else lambda function: function
    mask = compiled(create_block_mask)(
        lambda b, h, query, key: query >= key, None, None, context, context, device=DEVICE
    )
    run = compiled(flex_attention)
    return lambda q, k, v: run(q, k, v, block_mask=mask, enable_gqa=True)


def fa3(context: int) -> Callable[..., Tensor]:
    from vllm.vllm_flash_attn import flash_attn_varlen_func

    cuts = torch.tensor([0, context], dtype=torch.int32, device=DEVICE)

    def call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        flat = [tensor[0].transpose(0, 1) for tensor in (q, k, v)]
        sizes = {"max_seqlen_q": context, "max_seqlen_k": context, "cu_seqlens_q": cuts, "cu_seqlens_k": cuts}
        return flash_attn_varlen_func(*flat, **sizes, causal=True, fa_version=3)

    return call


def lazily(make: Callable[[], Callable[..., Tensor]]) -> Callable[..., Tensor]:
    """A call whose preparation, done once at the first call, may fail inside a guarded row."""
    made = functools.cache(make)
    return lambda *inputs: made()(*inputs)


def baselines(case: Case) -> None:
    """Dense causal attention of libraries. FA3 as vLLM ships it has no backward."""
    case.both("SDPA cuDNN", sdpa(SDPBackend.CUDNN_ATTENTION), case.work())
    case.both("SDPA flash", sdpa(SDPBackend.FLASH_ATTENTION), case.work())
    case.both("flex_attention", lazily(lambda: flex(case.context)), case.work())
    case.both("FA3", lazily(lambda: fa3(case.context)), case.work())


def full(case: Case) -> None:
    """Our full layer: alone, and with block maxima and selection."""
    segments = whole(1, case.context, device=DEVICE)
    selection = Selection(case.options.block, case.options.count)
    case.both("full", lambda q, k, v: attention.causal_attention(q, k, v, segments), case.work())
    case.both(
        "full + maxima + selection",
        lambda q, k, v: attention.full_attention_with_selection(q, k, v, segments, selection)[0],
        case.work(),
    )


def window(case: Case) -> None:
    segments = whole(1, case.context, device=DEVICE)
    size = case.options.window
    case.both(
        "window", lambda q, k, v: attention.window_attention(q, k, v, segments, size, case.sinks), case.work(size)
    )


def sources(case: Case) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """Name and maker of each set of indices."""
    o = case.options
    for name, overlap in (("overlap 0.9", 0.9), ("independent", 0.0)):
        yield name, lambda overlap=overlap: drifting(case.context, o.kv_heads, o.block, o.count, overlap, DEVICE)
    if o.indices:
        yield "trained", lambda: stored(o.indices, case.context, o.kv_heads, o.block, DEVICE)


def sparse(case: Case) -> None:
    """Attention over selected blocks: the union of neighbouring queries, and the layer."""
    o, segments = case.options, whole(1, case.context, device=DEVICE)
    for name, make in sources(case):
        try:
            indices = make()
        except (ValueError, OSError) as error:
            case.table.add(Row(case.context, case.group, "sparse", name, note=str(error)))
            continue
        width = queries_a_tile(case.group)
        union = functools.partial(union_tiles, indices, segments, o.block, width)
        shared = f"union of {width} queries {mean_union(union()):.1f} blocks, Jaccard {jaccard(indices, o.block):.2f}"
        row = Row(case.context, case.group, "union", name, note=shared)
        case.table.measure(row, Work(bytes=4.0 * indices.numel()), lambda union=union: union)
        case.both(
            "sparse",
            lambda q, k, v, indices=indices: attention.sparse_attention(
                q, k, v, indices, segments, o.block, case.sinks
            ),
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
            parts = [find("full + maxima + selection" + suffix), find("window" + suffix), find("union", name)]
            parts += [find("sparse" + suffix, name)]
            row = Row(case.context, case.group, "derived: 36 layers at 1:3" + suffix, name)
            if None in parts or not dense:
                row.note = "not derived: a layer's time is missing"
            else:
                full_ms, window_ms, union_ms, sparse_ms = parts
                row.ms = FULL_LAYERS * (full_ms + union_ms) + SPARSE_LAYERS * (sparse_ms + window_ms)
                best = 36 * min(dense)
                row.note = f"{best / row.ms:.2f}x the fastest library's {best:.4g} ms"
            case.table.add(row)


PARTS: dict[str, Callable[[Case], None]] = {
    "baselines": baselines,
    "full": full,
    "window": window,
    "sparse": sparse,
    "stacks": stacks,
}


def main() -> int:
    options = parse_arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    table = Table(options.out, options.seconds)
    for group in options.groups:
        for context in options.contexts:
            case = Case(table, options, context, group)
            for part in options.only:
                PARTS[part](case)
    print(f"written to {options.out}/hysparse-kernels.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
