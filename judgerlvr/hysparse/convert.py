"""Start a HySparse model from a Qwen3 or Qwen3-MoE checkpoint.

    python -m judgerlvr.hysparse.convert SOURCE OUT [--full-layers 0,1,3] [--select-tokens 1024] [--window 128]

Every weight of the source keeps its name and place. The key and value projections of a sparse layer become the window
branch's, and both branches read the old query projection. Only gates and sinks are new. The result is a starting point
for training or distillation, because a sparse layer now reads the keys of another layer. OUT must not exist.
``--plan`` prints costs and writes nothing. ``--search TEXTS`` measures which layers to keep full, by forward passes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from judgerlvr.hysparse.conversion.options import CARD, COSTS, SEARCH, SEARCHING, add, add_conversion
from rewards.command_line import OneLineParser
from rewards.errors import exit_code


def convert(arguments: Sequence[str] | None) -> None:
    """Parse, check and run. Raises InputError for everything that a person can mend."""
    parser = OneLineParser(
        prog="python -m judgerlvr.hysparse.convert",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_conversion(parser, SEARCH)
    parser.add_argument("--plan", action="store_true", help="print costs before any weight is read, and stop")
    add(parser.add_argument_group("KV cache of --plan and of --search"), COSTS)
    add(parser.add_argument_group("--search"), SEARCHING)
    add(parser, (CARD,))
    options = parser.parse_args(arguments)
    from judgerlvr.hysparse.conversion.converting import run  # after parsing: --help needs no torch

    run(options)


def main(arguments: Sequence[str] | None = None) -> int:
    return exit_code(lambda: convert(arguments))


if __name__ == "__main__":
    sys.exit(main())
