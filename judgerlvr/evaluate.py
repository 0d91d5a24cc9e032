"""Evaluate a model directory, or grade stored responses.

    python -m judgerlvr.evaluate --model DIR --data FILE... [--judge-data FILE...]
    python -m judgerlvr.evaluate --responses FILE... [--extraction lenient]

Each number is printed in a row with its sampling settings, greedy beside the chosen temperature. Samples and
numbers go to ``samples.jsonl`` and ``summary.json`` in the output folder. See docs/evaluation.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from judgerlvr.evaluation.options import add_engine, add_grading, add_reading, add_responses
from rewards.command_line import OneLineParser
from rewards.errors import exit_code


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    summary = (__doc__ or "").partition("\n")[0]
    parser = OneLineParser(prog="python -m judgerlvr.evaluate", description=summary)
    what = parser.add_argument_group("what")
    what.add_argument("--model", type=Path, help="model directory (transformers format)")
    what.add_argument(
        "--data", type=Path, nargs="+", default=[], help="problems: files, folders, globs, names of the hub"
    )
    what.add_argument("--judge-data", type=Path, nargs="+", default=[], help="rendered judge sets (parquet)")
    what.add_argument("--responses", type=Path, nargs="+", default=[], help="grade these instead of sampling")
    add_reading(what)
    what.add_argument("--limit", type=int, help="use only the first rows of each file (default: all)")
    what.add_argument("--out", type=Path, help="output folder (default: runs/eval/NAME-HASH)")
    how = parser.add_argument_group("sampling")
    how.add_argument("--n", type=int, default=4, help="samples of each prompt (default %(default)s)")
    how.add_argument("--temperature", type=float, default=1.0, help="0 is greedy alone (default %(default)s)")
    how.add_argument("--top-p", type=float, default=1.0, help="nucleus (default %(default)s: off)")
    add_responses(how)
    add_engine(how)
    grading = parser.add_argument_group("grading")
    add_grading(grading, override="grade otherwise than the policy's card says")
    grading.add_argument("--min-check-tokens", type=int, default=1, help="thinking tokens of a judge that checks")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)

    def work() -> None:
        from judgerlvr.evaluation.command import evaluate  # after parsing: --help needs no numpy

        evaluate(options)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
