"""Compare two evaluations, paired by problem.

    python -m judgerlvr.compare OURS THEIRS [--out table.md table.html table.json]

OURS and THEIRS are output folders of ``judgerlvr.evaluate``. Both must have been made alike: a differing prompt,
verifier, decoding, token limit or number of samples is refused unless it is named. See docs/evaluation.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rewards.command_line import OneLineParser
from rewards.errors import exit_code

CONDITIONS = ("prompt", "gold", "verifier", "decoding", "limit", "n", "engine")


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    summary = (__doc__ or "").partition("\n")[0]
    parser = OneLineParser(prog="python -m judgerlvr.compare", description=summary)
    parser.add_argument("ours", type=Path, help="output folder of judgerlvr.evaluate")
    parser.add_argument("theirs", type=Path, help="output folder of judgerlvr.evaluate")
    parser.add_argument(
        "--allow-different", nargs="+", choices=CONDITIONS, default=[], help="compare although these differ"
    )
    parser.add_argument("--out", type=Path, nargs="+", default=[], help="files that end in .md, .html or .json")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)

    def work() -> None:
        from judgerlvr.evaluation.compare_outputs import compare  # after parsing: --help needs no numpy

        compare(options)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
