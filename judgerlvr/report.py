"""Write one static HTML page about one or more runs.

    python -m judgerlvr.report RUN... [--out report.html]

RUN is a run folder, or the output folder of ``judgerlvr.evaluate``. What was not measured is shown as "not run".
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rewards.errors import exit_code


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m judgerlvr.report", description=summary)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders, such as runs/judge")
    parser.add_argument("--out", type=Path, default=Path("report.html"), help="default: %(default)s")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    from judgerlvr.reporting.command import write_report  # after parsing: --help needs no numpy

    return exit_code(lambda: write_report(options.runs, options.out))


if __name__ == "__main__":
    sys.exit(main())
