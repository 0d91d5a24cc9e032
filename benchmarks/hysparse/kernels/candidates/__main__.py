"""Kernels of sparse layers beside each other and beside the libraries, on the same index tensors.

    python -m benchmarks.hysparse.kernels.candidates OUT_DIR [--contexts 32768 65536 131072] [--seconds 150]

Indices are drawn by popularity (unions or neighbours' overlap as a trained model's), with overlap 0.9, and
independently. --indices FILE puts a trained model's in front: its KV
heads are repeated, and shorter contexts take its first tokens. At the first context each candidate's configurations
compete on the first set of indices, and the fastest goes on. --try KIND:NAME=NUMBER,... replaces the configurations of
a kind. --with-backward adds rows with the backward pass, and --blocks adds a block of a full and three sparse layers on
the first set, from which 36 layers are derived.

Each kind runs in a process of its own, because an illegal access leaves no kernel of its process alive. The kinds share
the time that is left. Each row is printed and written at once. A row that fails says why, and the others go on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.hysparse.kernels.candidates.cells import SOURCES, Comparison, libraries
from benchmarks.hysparse.kernels.candidates.kinds import BACKWARD, KINDS, read_options
from benchmarks.hysparse.kernels.candidates.processes import LIBRARIES, each_alone
from benchmarks.hysparse.kernels.case import Case
from benchmarks.hysparse.kernels.index_files import refusals
from benchmarks.hysparse.kernels.table import Table

# The first gives unions as large as a trained model's choices, the second the Jaccard overlap of its neighbours.
EXPONENTS = (1.2, 1.45)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--contexts", type=int, nargs="+", default=[32768, 65536, 131072])
    parser.add_argument("--group", type=int, default=4, help="query heads a KV head")
    parser.add_argument("--seconds", type=float, default=150, help="begin no row after this time")
    parser.add_argument("--indices", type=Path, nargs="*", default=[], help="a trained model's choices, .zip or .pt")
    parser.add_argument("--sources", nargs="*", default=list(SOURCES), choices=SOURCES)
    parser.add_argument("--exponents", type=float, nargs="+", default=EXPONENTS, help="of the popularity drawn by")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=[*KINDS, LIBRARIES])
    parser.add_argument(
        "--try", action="extend", nargs="+", default=[], type=read_options, dest="tried", metavar="KIND:NAME=NUMBER"
    )
    parser.add_argument("--with-backward", action="store_true", help="add rows with the backward pass")
    parser.add_argument("--blocks", action="store_true", help="add blocks of a full and three sparse layers")
    parser.add_argument("--no-libraries", action="store_true", help="leave FA3 and cuDNN out")
    parser.add_argument("--alone", type=Path, help="run the kinds in this process, and write to this folder")
    parser.add_argument("--kv-heads", type=int, default=8)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--block", type=int, default=64)
    parser.add_argument("--count", type=int, default=16, help="selected blocks")
    parser.add_argument("--window", type=int, default=128, help="of the layers of a block")
    options = parser.parse_args()
    wrong = refusals(options.indices, options.block, options.count)
    if wrong:
        parser.error(wrong[0])
    return options


def main() -> int:
    options = parse_arguments()
    if options.alone is None:
        each_alone(options, sys.argv[1:])
        return 0
    options.alone.mkdir(parents=True, exist_ok=True)
    table = Table(options.alone, options.seconds)
    tried: dict[str, tuple[object, ...]] = {
        name: tuple(made for kind, made in options.tried if kind == name) for name in KINDS
    }
    backward = (tried["outer_backward"] or (BACKWARD,))[0]
    runs = [Comparison(KINDS[name], tried[name], backward) for name in options.kinds if name != LIBRARIES]
    for case in [Case(table, options, context, options.group) for context in options.contexts]:
        for run in runs:
            run.run(case)
        if LIBRARIES in options.kinds:
            libraries(case)
    return 0


if __name__ == "__main__":
    sys.exit(main())
