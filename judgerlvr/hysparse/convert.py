"""Start a HySparse model from a Qwen3 or Qwen3-MoE checkpoint.

    python -m judgerlvr.hysparse.convert SOURCE OUT [--sparse-ratio 3] [--select-tokens 1024] [--window 128]

Every weight of the source keeps its name and place. The key and value projections of a sparse layer become the window
branch's, and both branches read the old query projection. Only gates and sinks are new. The result is a starting point
for training or distillation, because a sparse layer now reads the keys of another layer.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from judgerlvr.hysparse.options import add_options
from rewards.errors import exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m judgerlvr.hysparse.convert",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    options = parser.parse_args(arguments)
    from judgerlvr.hysparse.conversion import run  # after parsing: --help needs no torch

    return exit_code(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
