"""Measure a judge on graded responses.

    python -m judgerlvr.judge_benchmark prompts SOLUTIONS --problems FILE... --out judge.parquet
    python -m judgerlvr.evaluate --model JUDGE --judge-data judge.parquet --out VERDICTS
    python -m judgerlvr.judge_benchmark table VERDICTS SOLUTIONS [--out table.md table.html table.json]

SOLUTIONS is an output folder of ``judgerlvr.evaluate`` with responses to problems. See docs/evaluation.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rewards.command_line import OneLineParser
from rewards.errors import exit_code


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    summary = (__doc__ or "").partition("\n")[0]
    parser = OneLineParser(prog="python -m judgerlvr.judge_benchmark", description=summary)
    steps = parser.add_subparsers(dest="step", required=True)
    prompts = steps.add_parser("prompts", help="write a judge prompt for every response")
    prompts.add_argument("solutions", type=Path, help="output folder of judgerlvr.evaluate")
    prompts.add_argument("--problems", type=Path, nargs="+", required=True, help="the files that were evaluated")
    prompts.add_argument("--prompt", type=Path, default=Path("configs/prompts/judge.txt"), help="default: %(default)s")
    prompts.add_argument("--out", type=Path, required=True, help="parquet file for judgerlvr.evaluate --judge-data")
    table = steps.add_parser("table", help="print the judge's numbers")
    table.add_argument("verdicts", type=Path, help="output folder of the judge's evaluation")
    table.add_argument("solutions", type=Path, help="output folder with the judged responses")
    table.add_argument("--out", type=Path, nargs="+", default=[], help="files that end in .md, .html or .json")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)

    def work() -> None:
        from judgerlvr.evaluation import judge_command  # after parsing: --help needs no numpy

        steps = {"prompts": judge_command.write_prompts, "table": judge_command.write_table}
        steps[options.step](options)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
