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

from rewards.command_line import OneLineParser
from rewards.errors import exit_code


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = OneLineParser(prog="python -m judgerlvr.hysparse.agreement", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model", type=Path, help="directory of a HySparse model")
    parser.add_argument("--prompts", type=int, default=8, help="default %(default)s")
    parser.add_argument("--prompt-tokens", type=int, default=256, help="default %(default)s")
    parser.add_argument("--new-tokens", type=int, default=128, help="default %(default)s")
    parser.add_argument(
        "--dtype", choices=["float32", "bfloat16"], default="float32", help="dtype of both models (default %(default)s)"
    )
    parser.add_argument("--memory", type=float, default=0.4, help="share of a GPU for the engine (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the prompts (default %(default)s)")
    parser.add_argument(
        "--engine", action="append", default=[], metavar="KEY=VALUE", help="argument of vllm.LLM (repeatable)"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)

    def work() -> None:
        from judgerlvr.hysparse.agreement.comparison import run  # after parsing: --help needs no torch

        run(options)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
