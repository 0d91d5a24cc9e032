"""Start a HySparse model from a Qwen3 or Qwen3-MoE checkpoint.

    python -m judgerlvr.hysparse.convert SOURCE OUT [--sparse-ratio 3] [--select-tokens 1024] [--window 128]

Every weight of the source keeps its name and place: a sparse layer's key and value projections become those of its
window branch, and its query, now read by both branches, stays. Only gates and sinks are new. The result is a
starting point to be trained or distilled: a sparse layer now reads keys of another layer.
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
