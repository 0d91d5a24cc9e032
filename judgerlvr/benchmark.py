"""Run benchmark tasks on one or more models, and write one table.

    python -m judgerlvr.benchmark --model A --model B --suite configs/suites/ten.yaml

A killed run goes on with the same command, and each sample is drawn once. See docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from judgerlvr.evaluation.options import add_engine
from rewards.command_line import OneLineParser
from rewards.errors import exit_code


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    summary = (__doc__ or "").partition("\n")[0]
    parser = OneLineParser(prog="python -m judgerlvr.benchmark", description=summary)
    parser.add_argument("--model", type=Path, action="append", required=True, help="model directory (repeat for more)")
    parser.add_argument("--suite", type=Path, default=Path("configs/suites/ten.yaml"), help="tasks (%(default)s)")
    parser.add_argument("--out", type=Path, help="output folder (default: runs/benchmark/SUITE)")
    parser.add_argument("--limit", type=int, help="only the first problems of each task (default: all)")
    how = parser.add_argument_group("sampling")
    how.add_argument("--temperature", type=float, default=0.6, help="0 is greedy alone (default %(default)s)")
    how.add_argument("--top-p", type=float, default=0.95, help="nucleus (default %(default)s)")
    how.add_argument("--max-tokens", type=int, default=32768, help="longest response (default %(default)s)")
    how.add_argument("--seed", type=int, default=0, help="of all samples (default %(default)s)")
    how.add_argument("--greedy", action="store_true", help="add a greedy pass")
    add_engine(how)
    grading = parser.add_argument_group("grading")
    grading.add_argument("--workers", type=int, default=2, help="grading processes (default %(default)s)")
    grading.add_argument(
        "--allow-unsandboxed-code", action="store_true", help="run sampled code without a sandbox, at your own risk"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)

    def work() -> None:
        from judgerlvr.evaluation.benchmark.command import benchmark  # after parsing: --help needs no numpy

        benchmark(options)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
