"""Measure a model before RL, and tell what measured cases say about judge-first training from there.

    python -m judgerlvr.diagnose --model DIR --data FILE...

Only samples are drawn, and nothing is trained. One page is printed. The output folder gets the page, a JSON record,
and all samples. See docs/diagnosis.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from judgerlvr.evaluation.options import FROM_CARD, add_engine, add_grading, add_reading, add_responses
from rewards.command_line import OneLineParser
from rewards.errors import exit_code


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    summary = (__doc__ or "").partition("\n")[0]
    parser = OneLineParser(prog="python -m judgerlvr.diagnose", description=summary)
    parser.add_argument("--model", type=Path, required=True, help="model directory (transformers format)")
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="problems: files, folders, globs, names of the hub"
    )
    parser.add_argument("--limit", type=int, default=100, help="only the first rows of each file (default %(default)s)")
    parser.add_argument("--out", type=Path, help="output folder (default: runs/diagnose/NAME-HASH)")
    add_reading(parser)
    how = parser.add_argument_group("sampling, at temperature 1 and greedy")
    how.add_argument("--n", type=int, default=16, help="solutions of each problem (default %(default)s)")
    add_responses(how)
    how.add_argument(
        "--judge-prompt", type=Path, help=f"template (default: {FROM_CARD}, else configs/prompts/judge.txt)"
    )
    add_engine(how)
    grading = parser.add_argument_group("grading")
    add_grading(grading, override="ask and grade otherwise than the card says")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)

    def work() -> None:
        from judgerlvr.diagnosis.command import diagnose  # after parsing: --help needs no numpy

        diagnose(options)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
