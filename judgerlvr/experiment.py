"""Train, evaluate and compare the arms of a plan, continued where an earlier call ended.

    python -m judgerlvr.experiment PLAN.yaml --out DIR

The plan lists arms, seeds and budgets (docs/experiments.md). The same command again goes on where the last call ended.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rewards.errors import exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m judgerlvr.experiment", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("plan", type=Path, help="YAML file, such as configs/experiments/demo.yaml")
    parser.add_argument("--out", type=Path, required=True, help="folder of the experiment's runs")
    options = parser.parse_args(arguments)
    return exit_code(lambda: _run(options.plan, options.out))


def _run(plan: Path, out: Path) -> None:
    from judgerlvr.experiments.command import run_experiment  # after parsing: --help stays light
    from judgerlvr.experiments.plan import read_plan

    run_experiment(read_plan(plan), out)


if __name__ == "__main__":
    sys.exit(main())
