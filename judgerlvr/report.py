"""Write one static HTML page about one or more runs.

    python -m judgerlvr.report RUN... [--out report.html] [--watch]

RUN is a run folder, or the output folder of ``judgerlvr.evaluate``. The folder of an experiment stands for its runs.
Runs in that folder are named by their arms in its plan.
What was not measured is shown as "not run".
With ``--watch`` the page follows runs that go on, and a page that is open in a browser loads itself anew.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rewards.command_line import OneLineParser
from rewards.errors import InputError, exit_code


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    summary = (__doc__ or "").partition("\n")[0]
    parser = OneLineParser(prog="python -m judgerlvr.report", description=summary)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders, such as runs/judge")
    parser.add_argument("--out", type=Path, default=Path("report.html"), help="default: %(default)s")
    parser.add_argument("--watch", action="store_true", help="write the page anew until the runs have ended")
    parser.add_argument("--every", type=seconds, default=10, help="seconds between two looks (default: %(default)s)")
    return parser.parse_args(arguments)


def seconds(text: str) -> int:
    """A whole number of seconds from 1 on."""
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    return exit_code(lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    from judgerlvr.experiments.plan import PLAN, REPORT, runs_in  # after parsing: --help needs no numpy
    from judgerlvr.experiments.plan_of_run import planned_run
    from judgerlvr.reporting import command

    if not options.watch:
        runs = [run for given in options.runs for run in command.begun(runs_in(given))]
        command.write_report(runs, options.out, planned_run)
        return
    # An experiment with a report counts as finished.
    if options.out.name == REPORT and (options.out.parent / PLAN).is_file():
        raise InputError("the experiment writes its own page here", "give another --out", file=options.out)
    runs_now = lambda: [run for given in options.runs for run in runs_in(given)]  # noqa: E731
    command.watch(runs_now, options.out, options.every, planned_run)


if __name__ == "__main__":
    sys.exit(main())
