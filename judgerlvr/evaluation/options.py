"""Options that several commands share which sample from a model and grade. Nothing heavy is imported here."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Protocol

from judgerlvr.config.domains import COUNT, COUNT_OR_OFF, Range
from rewards.errors import InputError

FROM_CARD = "from the policy's card"


# The values of options of commands that sample. A command may lack some of these.
BOUNDS = {
    "n": Range(least=1, most=65536),
    "max_tokens": COUNT,
    "workers": Range(least=1, most=4096),
    "temperature": Range(least=0, most=100),
    "top_p": Range(above=0, most=1),
    "limit": COUNT,
    "min_check_tokens": COUNT_OR_OFF,
}


def check_bounds(options: argparse.Namespace) -> None:
    """Raise an InputError for the first option whose value lies outside its bounds."""
    for name, bounds in BOUNDS.items():
        value = getattr(options, name, None)
        if value is not None and not bounds.allows(value):
            raise InputError(f"--{name.replace('_', '-')} is {value}", f"give {bounds.says}")


class Options(Protocol):
    """A parser, or a group of its options."""

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action: ...


def add_reading(parser: Options) -> None:
    """How problem files are read."""
    parser.add_argument(
        "--import",
        dest="reading",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="data.columns.ROLE=COLUMN, data.bad_rows=drop: how files are read, as in training",
    )


def add_responses(parser: Options) -> None:
    """The longest response, the seed and the template of the prompt."""
    parser.add_argument("--max-tokens", type=int, help=f"longest response (default: {FROM_CARD}, else 1024)")
    parser.add_argument("--seed", type=int, default=0, help="of all samples (default %(default)s)")
    parser.add_argument(
        "--prompt", type=Path, help=f"template (default: {FROM_CARD}, else configs/prompts/generate.txt)"
    )


def add_engine(parser: Options) -> None:
    parser.add_argument(
        "--engine", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="arguments of vllm.LLM"
    )


def add_grading(parser: Options, override: str) -> None:
    """How answers and verdicts are graded. ``override`` says what ``--override-card`` allows."""
    parser.add_argument("--verifier", help=f"package.module:function (default: {FROM_CARD}, else rewards.math:verify)")
    parser.add_argument(
        "--extraction", choices=("strict", "lenient"), help=f"of the answer (default: {FROM_CARD}, else strict)"
    )
    parser.add_argument("--verdicts", nargs=2, help=f"words for right and wrong (default: {FROM_CARD}, else Yes No)")
    parser.add_argument("--override-card", action="store_true", help=override)
    parser.add_argument("--workers", type=int, default=2, help="grading processes (default %(default)s)")
