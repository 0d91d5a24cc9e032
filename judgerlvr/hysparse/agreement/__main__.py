"""Compare rollout (vLLM) and trainer (transformers): equal choices and log-probabilities, with and without replay.

    python -m judgerlvr.hysparse.agreement DIR --prompts 8 --prompt-tokens 4096 --new-tokens 256 --dtype bfloat16

Prompts are random tokens. Responses are sampled at temperature 1, all at once. For a model without layers that select,
such as a dense model for comparison, the command prints the difference of log-probabilities alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from judgerlvr.config.domains import COUNT, PATH, SEED, Choice, Range
from judgerlvr.hysparse.conversion.options import Option, add, reader
from rewards.command_line import OneLineParser
from rewards.errors import exit_code

MODEL = Option("model", Path, None, PATH, "directory of a HySparse model")
OPTIONS = (
    Option("--prompts", int, 8, Range(least=1, most=10**5), "prompts, which are sampled all at once"),
    Option("--prompt-tokens", int, 256, COUNT, "tokens of a prompt"),
    # The last token is sampled and never computed, so that one token leaves nothing to compare.
    Option("--new-tokens", int, 128, Range(least=2, most=10**9), "tokens of a response"),
    Option("--dtype", str, "float32", Choice(("float32", "bfloat16")), "dtype of both models"),
    Option("--memory", float, 0.4, Range(above=0, most=1), "share of a GPU for the engine"),
    Option("--seed", int, 0, SEED, "seed of the prompts"),
)


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = OneLineParser(prog="python -m judgerlvr.hysparse.agreement", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model", type=reader(MODEL), help=MODEL.text)
    add(parser, OPTIONS)
    parser.add_argument(
        "--engine", action="append", default=[], metavar="KEY=VALUE", help="argument of vllm.LLM (repeatable)"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)

    def work() -> None:
        from judgerlvr.hysparse.agreement.comparison import run  # after parsing: --help needs no torch
        from judgerlvr.hysparse.ops.available import check_backend

        check_backend()
        run(options)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
