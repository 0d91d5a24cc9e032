"""Candidates for the sparse forward kernel beside the present kernel and the libraries, on the same index tensors.

    python -m benchmarks.hysparse.kernels.candidates OUT_DIR [--contexts 32768 65536 131072] [--seconds 120]

Indices are drawn by popularity (unions or neighbours' overlap as a trained model's), with overlap 0.9, and
independently. --indices FILE adds a trained model's. At the first context each candidate's configurations compete on
the first set of indices, and the fastest goes on. --try KIND:NAME=NUMBER,... replaces the configurations of a kind.
Each row is printed and written at once. A row that fails says why, and the others go on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.hysparse.kernels.candidates.cells import compare, libraries
from benchmarks.hysparse.kernels.candidates.kinds import KINDS, read_options
from benchmarks.hysparse.kernels.case import Case
from benchmarks.hysparse.kernels.table import Table

SOURCES = ("popular", "overlap 0.9", "independent")
# The first gives unions as large as a trained model's choices, the second the Jaccard overlap of its neighbours.
EXPONENTS = (1.2, 1.45)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--contexts", type=int, nargs="+", default=[32768, 65536, 131072])
    parser.add_argument("--group", type=int, default=4, help="query heads a KV head")
    parser.add_argument("--seconds", type=float, default=120, help="begin no row after this time")
    parser.add_argument("--indices", type=Path, nargs="*", default=[], help="a trained model's indices, .pt")
    parser.add_argument("--sources", nargs="*", default=list(SOURCES), choices=SOURCES)
    parser.add_argument("--exponents", type=float, nargs="+", default=EXPONENTS, help="of the popularity drawn by")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--try", nargs="+", default=[], type=read_options, dest="tried", metavar="KIND:NAME=NUMBER")
    parser.add_argument("--no-libraries", action="store_true", help="leave FA3 and cuDNN out")
    parser.add_argument("--kv-heads", type=int, default=8)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--block", type=int, default=64)
    parser.add_argument("--count", type=int, default=16, help="selected blocks")
    return parser.parse_args()


def main() -> int:
    options = parse_arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    table = Table(options.out, options.seconds)
    fastest = {name: tuple(made for kind, made in options.tried if kind == name) for name in options.kinds}
    cases = [Case(table, options, context, options.group) for context in options.contexts]
    # Candidates come before the libraries, whose figures are known from earlier runs.
    for case in cases:
        compare(case, fastest)
    for case in [] if options.no_libraries else cases:
        libraries(case)
    print(f"written to {options.out}/hysparse-kernels.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
