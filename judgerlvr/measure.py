"""Measure the user's own cards. The figures say how long a token takes to sample, to score and to train on.

    python -m judgerlvr.measure --config FILE --out FILE [key=value ...]

Three steps of the generate stage run with the configured policy, cards and engine. Problems are generated, and
responses have a fixed length. The first step is warm-up. No checkpoint is written. ``--dry-run`` of a stage uses the
result with ``planning.measured=FILE``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from judgerlvr.cli import CONFIG_HELP
from rewards.command_line import OneLineParser
from rewards.errors import exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    parser = OneLineParser(prog="python -m judgerlvr.measure", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--config", type=Path, help=CONFIG_HELP)
    parser.add_argument("--out", type=Path, required=True, help="file to write, JSON")
    parser.add_argument("--response-tokens", type=int, default=1024, help="length of a response (default %(default)s)")
    parser.add_argument("--samples", type=int, default=32, help="samples a step for each rank (default %(default)s)")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="override a configuration key")
    options = parser.parse_intermixed_args(arguments)

    def work() -> None:
        from judgerlvr.pipeline.measuring import run_measure  # after parsing: --help needs no torch

        run_measure(options)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
