"""Write one static HTML page about one or more runs.

    python -m judgerlvr.report RUN... [--out report.html] [--watch]

RUN is a run folder, or the output folder of ``judgerlvr.evaluate``. What was not measured is shown as "not run".
With ``--watch`` the page follows runs that go on, and a page that is open in a browser loads itself anew.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rewards.command_line import OneLineParser
from rewards.errors import exit_code


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

    def work() -> None:
        from judgerlvr.reporting import command  # after parsing: --help needs no numpy

        if options.watch:
            command.watch(options.runs, options.out, options.every)
        else:
            command.write_report(options.runs, options.out)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
