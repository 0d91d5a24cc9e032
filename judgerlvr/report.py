"""Write one static HTML page about one or more runs.

    python -m judgerlvr.report RUN... [--out report.html]

RUN is a run folder, or the output folder of ``judgerlvr.evaluate``. What was not measured is shown as "not run".
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from judgerlvr.cli import exit_code
from judgerlvr.reporting.page import render_page
from judgerlvr.reporting.runs import read_run
from rewards.errors import InputError


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m judgerlvr.report", description=summary)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders, such as runs/judge")
    parser.add_argument("--out", type=Path, default=Path("report.html"), help="default: %(default)s")
    return parser.parse_args(arguments)


def write_report(folders: Sequence[Path], out: Path) -> None:
    """Read the run folders and write the page.

    Raises:
        InputError: a folder holds nothing to report, or the page cannot be written there.
    """
    page = render_page([read_run(folder) for folder in folders])
    if out.is_dir() or not out.parent.is_dir():
        raise InputError("cannot write a page here", "give --out FILE in an existing folder", file=out)
    out.write_text(page, encoding="utf-8")
    print(f"written: {out}")


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    return exit_code(lambda: write_report(options.runs, options.out))


if __name__ == "__main__":
    sys.exit(main())
