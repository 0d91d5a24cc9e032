"""Measure a model before RL, and tell what measured cases say about judge-first training from there.

    python -m judgerlvr.diagnose --model DIR --data FILE...

Only samples are drawn, and nothing is trained, unless ``--judge-steps`` asks for a short judge stage. Then the page of
the transfer from judging to solving follows. The output folder gets pages, JSON records and samples. See
docs/diagnosis.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from judgerlvr.evaluation.options import FROM_CARD, Options, add_engine, add_grading, add_reading, add_responses
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
    add_judge_stage(parser.add_argument_group("a judge stage, which trains (RL)"))
    return parser.parse_args(arguments)


def add_judge_stage(group: Options) -> None:
    group.add_argument(
        "--judge-steps", type=int, metavar="N", help="train N steps of stage 1, then measure what solving gained"
    )
    group.add_argument("--judge-config", type=Path, metavar="FILE", help="configuration of stage 1, needed for a stage")
    group.add_argument(
        "--judge-set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="overrides of that file"
    )
    group.add_argument(
        "--judge-data",
        dest="judge_candidates",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="candidate solutions to learn judging from (default: the drawn solutions of every second problem)",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)

    def work() -> None:
        from judgerlvr.diagnosis.command import diagnose  # after parsing: --help needs no numpy

        diagnose(options)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
