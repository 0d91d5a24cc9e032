"""Write traces as texts to learn: ``python -m judgerlvr.tinyworld.making.texts OUT.jsonl --count 20000``.

Each row has a ``prompt`` in the chat template and the ``text`` of a response with its end token. Generation and judging
have equal shares. The base models were trained on texts of this kind, drawn with another seed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rewards.command_line import OneLineParser
from rewards.errors import exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    parser = OneLineParser(
        prog="python -m judgerlvr.tinyworld.making.texts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=Path, help="JSONL file to write")
    parser.add_argument("--count", type=int, default=20_000, help="texts (default %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="seed of the traces (default %(default)s)")
    options = parser.parse_args(arguments)

    def work() -> None:
        from judgerlvr.tinyworld.making.trace_texts import write  # after parsing: --help needs no torch

        write(options)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
