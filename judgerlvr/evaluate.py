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

from rewards.errors import exit_code

FROM_CARD = "from the policy's card"


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m judgerlvr.evaluate", description=summary)
    what = parser.add_argument_group("what")
    what.add_argument("--model", type=Path, help="model directory (transformers format)")
    what.add_argument(
        "--data", type=Path, nargs="+", default=[], help="problems: files, folders, globs, names of the hub"
    )
    what.add_argument("--judge-data", type=Path, nargs="+", default=[], help="rendered judge sets (parquet)")
    what.add_argument("--responses", type=Path, nargs="+", default=[], help="grade these instead of sampling")
    what.add_argument(
        "--import",
        dest="reading",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="data.columns.ROLE=COLUMN, data.bad_rows=drop: how files are read, as in training",
    )
    what.add_argument("--limit", type=int, help="use only the first rows of each file (default: all)")
    what.add_argument("--out", type=Path, help="output folder (default: runs/eval/NAME-HASH)")
    how = parser.add_argument_group("sampling")
    how.add_argument("--n", type=int, default=4, help="samples of each prompt (default %(default)s)")
    how.add_argument("--temperature", type=float, default=1.0, help="0 is greedy alone (default %(default)s)")
    how.add_argument("--top-p", type=float, default=1.0, help="nucleus (default %(default)s: off)")
    how.add_argument("--max-tokens", type=int, help=f"longest response (default: {FROM_CARD}, else 1024)")
    how.add_argument("--seed", type=int, default=0, help="of all samples (default %(default)s)")
    how.add_argument("--prompt", type=Path, help=f"template (default: {FROM_CARD}, else configs/prompts/generate.txt)")
    how.add_argument(
        "--engine", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="arguments of vllm.LLM"
    )
    grading = parser.add_argument_group("grading")
    grading.add_argument("--verifier", help=f"package.module:function (default: {FROM_CARD}, else rewards.math:verify)")
    grading.add_argument(
        "--extraction", choices=("strict", "lenient"), help=f"of the answer (default: {FROM_CARD}, else strict)"
    )
    grading.add_argument("--verdicts", nargs=2, help=f"words for right and wrong (default: {FROM_CARD}, else Yes No)")
    grading.add_argument("--override-card", action="store_true", help="grade otherwise than the policy's card says")
    grading.add_argument("--min-check-tokens", type=int, default=1, help="thinking tokens of a judge that checks")
    grading.add_argument("--workers", type=int, default=2, help="grading processes (default %(default)s)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    from judgerlvr.evaluation.command import evaluate  # after parsing: --help needs no numpy

    return exit_code(lambda: evaluate(options))


if __name__ == "__main__":
    sys.exit(main())
