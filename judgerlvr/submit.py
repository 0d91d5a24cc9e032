"""Submit a stage to a running Ray cluster, stream its log, and return the stage's exit code.

    python -m judgerlvr.submit --storage DIR stage1_judge    [--config FILE] [key=value ...]
    python -m judgerlvr.submit --storage DIR stage2_generate --init DIR/ckpt/judge [key=value ...]

DIR lies on a file system that every node sees. Runs and finished policies go there. The cluster is the one at
``--address``, else at RAY_ADDRESS, else at http://127.0.0.1:8265.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rewards.errors import exit_code


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m judgerlvr.submit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--storage", type=Path, required=True, help="shared folder for runs and policies, absolute")
    parser.add_argument("--address", help="the cluster's dashboard, such as http://head:8265")
    parser.add_argument("--python", default=sys.executable, help="interpreter on the nodes (default: this one)")
    parser.add_argument("stage", help="stage1_judge or stage2_generate")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of the stage")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    from judgerlvr.cluster.submission import JobFailed, make_submission, submit  # after parsing: --help needs no Ray

    submission = make_submission(options.stage, options.arguments, options.storage, options.python, options.address)
    codes: list[int] = []

    def run() -> None:
        try:
            submit(submission)
        except JobFailed as error:
            codes.append(error.code)
            raise

    code = exit_code(run)
    return codes[0] if codes else code


if __name__ == "__main__":
    sys.exit(main())
