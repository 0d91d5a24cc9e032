"""Bring a run back from object storage, so that the run can go on.

    python -m judgerlvr.restore s3://bucket/runs/judge runs/judge
    python -m judgerlvr.stage1_judge --resume runs/judge

``STAGE.checkpoint.upload`` made the copy. The newest sealed checkpoint comes back with the run folder's own files.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rewards.command_line import OneLineParser
from rewards.errors import exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    parser = OneLineParser(
        prog="python -m judgerlvr.restore", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("address", help="address of the run's copy, such as s3://bucket/runs/judge")
    parser.add_argument("folder", type=Path, help="new run folder")
    options = parser.parse_args(arguments)

    def work() -> None:
        from judgerlvr.runs.object_storage import restore  # after parsing: --help stays light

        step = restore(options.address, options.folder)
        print(f"{options.folder}: restored up to step {step}; give the stage --resume {options.folder}")

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
