"""Check machine, model, data, prompt, verifier, cluster and disk, and name the command to run next.

    python -m judgerlvr.doctor [judge | generate] [--config FILE] [--init DIR] [key=value ...]

The doctor runs the checks of ``--dry-run``. The doctor goes on after a fault, so that one page shows all faults. The
doctor needs no GPU. The exit code is 2 where a fault was found, else 0.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from judgerlvr.cli import CONFIG_HELP
from rewards.command_line import OneLineParser
from rewards.errors import BAD_INPUT, InputError, exit_code

STAGES = ("judge", "generate")


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = OneLineParser(prog="python -m judgerlvr.doctor", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("words", nargs="*", metavar="judge | generate | key=value", help="stage, and overrides of keys")
    parser.add_argument("--config", type=Path, help=CONFIG_HELP)
    parser.add_argument("--init", type=Path, metavar="DIR", help="starting policy of stage 2 (e.g. ckpt/judge)")
    parser.add_argument("--out", type=Path, help="name of the finished policy (default ckpt/STAGE)")
    options = parser.parse_intermixed_args(arguments)
    named = [word for word in options.words if word in STAGES]
    options.named = set(named)
    options.stage = named[-1] if named else "generate" if options.init else "judge"
    options.overrides = [word for word in options.words if word not in STAGES]
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    healthy: list[bool] = []

    def work() -> None:
        from judgerlvr.pipeline.checkup.page import run_doctor  # after parsing: --help needs no torch

        if len(options.named) > 1:
            raise InputError("judge and generate together", "give one stage")
        healthy.append(run_doctor(options))

    code = exit_code(work)
    return code or (0 if all(healthy) else BAD_INPUT)


if __name__ == "__main__":
    sys.exit(main())
