"""Stage 1: the policy learns to judge labelled solutions (JudgeRLVR, arXiv 2601.08468 section 2.1).

    python -m judgerlvr.stage1_judge [--config FILE] [key=value ...]

Reward 1 if the boxed verdict equals the solution's label, else 0. The paper leaves some choices open. Here the judge
may think first, never sees the gold answer, and ends with one of two boxed verdict words.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from judgerlvr.cli import stage_parser
from rewards.errors import exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    parser = stage_parser("judgerlvr.stage1_judge", "Stage 1: judge RL on labelled solutions.")
    options = parser.parse_intermixed_args(arguments)

    def work() -> None:
        from judgerlvr.pipeline.command import run_command  # after parsing: --help needs no torch

        run_command("judge", options)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
