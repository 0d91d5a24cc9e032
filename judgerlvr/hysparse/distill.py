"""Convert a Qwen3 or Qwen3-MoE checkpoint to HySparse, and distil the source into the conversion on texts.

    python -m judgerlvr.hysparse.distill SOURCE OUT --texts FILE [--steps 200] [--sparse-ratio 3] ...

Each row of FILE (JSONL, JSON or parquet) has a ``text``, and optionally a ``prompt`` before the text that is read and
not learnt. The first rows are held out. The loss is the divergence of the source's next-token distribution from the
student's. Texts are packed into rows of ``--length`` tokens. ``OUT/distill.jsonl`` holds a line for each evaluation:
learnt tokens so far, and the held-out loss of student and source.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from judgerlvr.hysparse.options import Plan, add_options
from rewards.errors import exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m judgerlvr.hysparse.distill",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    parser.add_argument("--texts", type=Path, required=True, help="file with a text a row")
    parser.add_argument("--heldout", type=int, default=64, help="rows held out (default %(default)s)")
    parser.add_argument("--length", type=int, default=1024, help="tokens a packed row (default %(default)s)")
    parser.add_argument("--device", help="default: cuda where there is a GPU, else cpu")
    for name, kind in (("steps", int), ("rows", int), ("lr", float), ("every", int), ("hidden", float)):
        parser.add_argument(f"--{name}", type=kind, default=getattr(Plan, name), help="(default %(default)s)")
    options = parser.parse_args(arguments)
    from judgerlvr.hysparse.distillation import run  # after parsing: --help needs no torch

    return exit_code(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
