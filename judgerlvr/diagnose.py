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

from rewards.errors import exit_code

FROM_CARD = "from the policy's card"


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m judgerlvr.diagnose", description=summary)
    parser.add_argument("--model", type=Path, required=True, help="model directory (transformers format)")
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="problems: files, folders, globs, names of the hub"
    )
    parser.add_argument("--limit", type=int, default=100, help="only the first rows of each file (default %(default)s)")
    parser.add_argument("--out", type=Path, help="output folder (default: runs/diagnose/NAME-HASH)")
    parser.add_argument(
        "--import",
        dest="reading",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="data.columns.ROLE=COLUMN, data.bad_rows=drop: how files are read, as in training",
    )
    how = parser.add_argument_group("sampling, at temperature 1 and greedy")
    how.add_argument("--n", type=int, default=16, help="solutions of each problem (default %(default)s)")
    how.add_argument("--max-tokens", type=int, help=f"longest response (default: {FROM_CARD}, else 1024)")
    how.add_argument("--seed", type=int, default=0, help="of all samples (default %(default)s)")
    how.add_argument("--prompt", type=Path, help=f"template (default: {FROM_CARD}, else configs/prompts/generate.txt)")
    how.add_argument(
        "--judge-prompt", type=Path, help=f"template (default: {FROM_CARD}, else configs/prompts/judge.txt)"
    )
    how.add_argument(
        "--engine", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="arguments of vllm.LLM"
    )
    grading = parser.add_argument_group("grading")
    grading.add_argument("--verifier", help=f"package.module:function (default: {FROM_CARD}, else rewards.math:verify)")
    grading.add_argument(
        "--extraction", choices=("strict", "lenient"), help=f"of the answer (default: {FROM_CARD}, else strict)"
    )
    grading.add_argument("--verdicts", nargs=2, help=f"words for right and wrong (default: {FROM_CARD}, else Yes No)")
    grading.add_argument("--override-card", action="store_true", help="ask and grade otherwise than the card says")
    grading.add_argument("--workers", type=int, default=2, help="grading processes (default %(default)s)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    from judgerlvr.diagnosis.command import diagnose  # after parsing: --help needs no numpy

    return exit_code(lambda: diagnose(options))


if __name__ == "__main__":
    sys.exit(main())
