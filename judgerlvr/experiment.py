"""Train, evaluate and compare the arms of a plan, continued where an earlier call ended.

    python -m judgerlvr.experiment PLAN.yaml --out DIR [--restarts 3] [--at-once 4] [key=value ...]

The plan lists arms, seeds and budgets (docs/experiments.md). A configuration file in its place gives judge set,
stage 1, stage 2 and evaluation. The same command again goes on where the last call ended.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rewards.command_line import OneLineParser
from rewards.errors import InputError, exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    parser = OneLineParser(prog="python -m judgerlvr.experiment", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("plan", type=Path, help="plan, such as configs/experiments/demo.yaml, or a configuration file")
    parser.add_argument("--out", type=Path, required=True, help="folder of the experiment's runs")
    parser.add_argument(
        "--restarts", type=int, default=0, help="restarts of failed commands, all together (default %(default)s)"
    )
    parser.add_argument(
        "--at-once", type=int, default=1, help="most arms that train at once on a Ray cluster (default %(default)s)"
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="override a configuration key in all arms")
    options = parser.parse_intermixed_args(arguments)
    return exit_code(lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    from judgerlvr.experiments.command import run_experiment  # after parsing: --help stays light
    from judgerlvr.experiments.plan import plan_or_pipeline

    if options.restarts < 0:
        raise InputError(f"--restarts {options.restarts}", "give 0 or more")
    if options.at_once < 1:
        raise InputError(f"--at-once {options.at_once}", "give 1 or more")
    plan = plan_or_pipeline(options.plan)
    plan = replace(plan, overrides=[*plan.overrides, *options.overrides])
    run_experiment(plan, options.out, options.restarts, options.at_once)


if __name__ == "__main__":
    sys.exit(main())
