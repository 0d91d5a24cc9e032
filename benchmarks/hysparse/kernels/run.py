"""HySparse's kernels beside library attention on one GPU: one table, medians, the roofline beside each row.

    python -m benchmarks.hysparse.kernels.run OUT_DIR [--contexts 32768 65536] [--groups 4 16] [--seconds 240]

Baselines are SDPA on cuDNN and on flash, flex_attention, and FA3 if FA3 or vLLM is installed. Our rows are the full
layer with block maxima and selection, attention over selected blocks, the window, and the gated sum, forward and
backward. Indices come from a trained model with --indices FILE, from sets that drift with overlap 0.9, and from
independent draws. A block of a full and three sparse layers is timed as a whole. Stacks are derived and not run: 36
layers at 1:3 (9 blocks) and, for decoding, 49 layers with 5 full. --only tune --tune KERNEL compares candidates of a
kernel's tiles.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.hysparse.kernels.case import DEVICE, DTYPE, Case
from benchmarks.hysparse.kernels.decoding import decoding
from benchmarks.hysparse.kernels.hybrid_block import hybrid_block
from benchmarks.hysparse.kernels.libraries import baselines, slow_baselines
from benchmarks.hysparse.kernels.prefill import full, gates, sparse, stacks, window
from benchmarks.hysparse.kernels.table import Row, Table, Work
from benchmarks.hysparse.kernels.tune import CALLS, tune


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--contexts", type=int, nargs="+", default=[32768, 65536, 131072])
    parser.add_argument("--groups", type=int, nargs="+", default=[4, 16], help="query heads a KV head")
    parser.add_argument(
        "--seconds", type=float, default=240, help="begin no row after this time; later rows are skipped"
    )
    parser.add_argument("--indices", type=Path, help="a trained model's indices, .pt")
    parser.add_argument("--only", nargs="+", default=list(DEFAULT), choices=list(PARTS))
    parser.add_argument("--tune", nargs="+", default=list(CALLS), choices=list(CALLS), help="kernels of the part tune")
    parser.add_argument("--decode-batch", type=int, default=64, help="rows that decode at the first context")
    parser.add_argument("--kv-heads", type=int, default=8)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--block", type=int, default=64)
    parser.add_argument("--count", type=int, default=16, help="selected blocks")
    parser.add_argument("--window", type=int, default=128)
    return parser.parse_args()


def ceilings(case: Case) -> None:
    """Speed of this card at a large copy and a large matrix product, measured once. Bytes count reads and writes."""
    if (case.context, case.group) != (case.options.contexts[0], case.options.groups[0]):
        return
    size = 8192 if DEVICE == "cuda" else 64
    row = lambda what: Row(0, 0, what)  # noqa: E731
    one, two = (torch.randn(size, size, device=DEVICE, dtype=DTYPE) for _ in range(2))
    case.table.measure(row(f"matrix product {size}"), Work(2.0 * size**3), lambda: lambda: one @ two)
    many, target = (torch.empty(16, size, size, device=DEVICE, dtype=DTYPE) for _ in range(2))
    case.table.measure(row("copy"), Work(bytes=2.0 * many.nbytes), lambda: lambda: target.copy_(many))


PARTS: dict[str, Callable[[Case], None]] = {
    "ceilings": ceilings,
    "tune": tune,
    "full": full,
    "baselines": baselines,
    "window": window,
    "gates": gates,
    "sparse": sparse,
    "block": hybrid_block,
    "stacks": stacks,
    "decoding": decoding,
    "slow_baselines": slow_baselines,
}
DEFAULT = tuple(part for part in PARTS if part != "tune")
# Last, because this row takes the longest to compile and says the least.
LAST = ("slow_baselines",)


def main() -> int:
    options = parse_arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    table = Table(options.out, options.seconds)
    for late in (False, True):
        parts = [part for part in PARTS if part in options.only and (part in LAST) == late]
        for group in options.groups if parts else ():
            for context in options.contexts:
                case = Case(table, options, context, group)
                for part in parts:
                    PARTS[part](case)
    print(f"written to {options.out}/hysparse-kernels.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
