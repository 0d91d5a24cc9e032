"""Convert a Qwen3 or Qwen3-MoE checkpoint to HySparse, and distil the source into the conversion on texts.

    python -m judgerlvr.hysparse.distill SOURCE OUT --texts FILE [--steps 200] [--full-layers 0,1,3] ...
    torchrun --nproc-per-node 8 -m judgerlvr.hysparse.distill SOURCE OUT --texts FILE ...

Each row of FILE (JSONL, JSON or parquet) has a ``text``, and optionally a ``prompt`` before the text that is read and
not learnt. The first rows are held out. The loss is the divergence of the source's next-token distribution from the
student's. Texts are packed into rows of ``--length`` tokens. OUT must not exist, unless ``--resume`` goes on with it.
``--student DIR`` trains a converted model further. ``OUT/distill.jsonl`` holds a line for each evaluation: learnt
tokens so far, and the held-out loss of student and source. Under torchrun, GPUs share weights and optimiser states.
``--plan`` prints minutes and memory of one GPU and writes nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from judgerlvr.hysparse.conversion.options import CARD, STUDENT, SWITCHES, TRAINING, add, add_conversion
from judgerlvr.hysparse.distillation.processes import check_numbers, ended_without_a_word, printed_once, same
from rewards.command_line import OneLineParser
from rewards.errors import exit_code


def distill(arguments: Sequence[str] | None) -> None:
    """Parse, check and train. Raises InputError for everything that a person can mend."""
    parser = OneLineParser(
        prog="python -m judgerlvr.hysparse.distill",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_conversion(parser, STUDENT)
    add(parser, TRAINING, required=("--texts",))
    add(parser, (CARD,))
    for flag, text in SWITCHES.items():
        parser.add_argument(flag, action="store_true", help=text)
    check_numbers()
    with ended_without_a_word(), printed_once():
        options = same(lambda: parser.parse_args(arguments))
        from judgerlvr.hysparse.distillation.distillation import run  # after parsing: --help needs no torch

        run(options)


def main(arguments: Sequence[str] | None = None) -> int:
    return exit_code(lambda: distill(arguments))


if __name__ == "__main__":
    sys.exit(main())
