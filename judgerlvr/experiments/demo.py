"""The demo: the smallest experiment, with a shipped base, at laptop size.

    python -m judgerlvr.demo [--model qwen3_moe] [--out runs/demo] [--resume]

Every step is a command of this product, and the demo prints each command. Vanilla trains until it has generated as many
tokens as both stages together, candidates and judging included. The checkpoint at equal steps is evaluated too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from judgerlvr.config.effective import TINY
from judgerlvr.config.load import ROOT
from rewards.command_line import OneLineParser
from rewards.errors import InputError, exit_code

# The functions below import the rest, so that --help stays light.
if TYPE_CHECKING:
    from judgerlvr.experiments.plan import Plan

DEMO_PLAN = ROOT / "configs" / "experiments" / "demo.yaml"
RUNS = Path("runs")


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = OneLineParser(prog="python -m judgerlvr.demo", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="qwen3_moe", help="shipped base model (default %(default)s)")
    parser.add_argument("--out", type=Path, help="folder of the demo's runs (default runs/demo, runs/demo-2, ...)")
    parser.add_argument("--resume", action="store_true", help="go on with --out, or with the newest unfinished demo")
    parser.add_argument("--config", default=TINY, help="configuration (default %(default)s)")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="override a configuration key")
    # Plain parse_args refuses key=value words that stand on both sides of an option.
    return parser.parse_intermixed_args(arguments)


def plan_of(options: argparse.Namespace) -> Plan:
    """The demo's plan with the model and overrides of the command line."""
    from judgerlvr.experiments.plan import read_plan

    base = ROOT / "judgerlvr" / "tinyworld" / "base" / options.model
    overrides = [f"model.path={base}", *options.overrides]
    return replace(read_plan(DEMO_PLAN), config=options.config, overrides=overrides)


def demo_folder(wanted: Path | None, resume: bool) -> Path:
    """The folder to run in: an unused folder, or with ``resume`` an unfinished one.

    Raises:
        InputError: the wanted folder exists, or there is nothing to resume.
    """
    if resume:
        return _begun(wanted) if wanted else _newest_unfinished()
    if wanted and wanted.exists():
        raise InputError("exists", "give another --out, or add --resume", file=wanted)
    return wanted or next(path for path in _names() if not path.exists())


def _begun(folder: Path) -> Path:
    """A folder that a demo has begun, wherever the folder has been moved to."""
    from judgerlvr.experiments.plan import PLAN

    if not (folder / PLAN).is_file():
        raise InputError("no demo was begun here", "give the demo's folder, or leave out --resume", file=folder)
    return folder


def _names() -> Iterator[Path]:
    return (RUNS / ("demo" if number == 1 else f"demo-{number}") for number in range(1, 10**6))


def _newest_unfinished() -> Path:
    from judgerlvr.experiments.plan import PLAN, REPORT

    plans = [path for path in RUNS.glob(f"demo*/{PLAN}") if not path.with_name(REPORT).exists()]
    if not plans:
        raise InputError("no unfinished demo", "give a moved demo by --out, or leave out --resume", file=RUNS)
    return max(plans, key=lambda path: path.stat().st_mtime).parent


def run_demo(options: argparse.Namespace) -> None:
    from judgerlvr.experiments.command import run_experiment
    from judgerlvr.experiments.plan import REPORT

    started = time.monotonic()
    out = demo_folder(options.out, options.resume)
    run_experiment(plan_of(options), out)
    print(f"\ndemo finished in {(time.monotonic() - started) / 60:.1f} min: {out / REPORT}")


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    return exit_code(lambda: run_demo(options))
