"""Stage 1: the policy learns to judge labelled solutions (JudgeRLVR, arXiv 2601.08468 section 2.1).

    python -m judgerlvr.stage1_judge [--config FILE] [key=value ...]

Reward 1 if the boxed verdict equals the solution's label, else 0. What the paper does not say and this does: the
judge may think first, never sees the gold answer, and ends with one of two boxed verdict words.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from judgerlvr.cli import exit_code, parser
from judgerlvr.pipeline.stages import run_judge_stage


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser("judgerlvr.stage1_judge", "Stage 1: judge RL on labelled solutions.").parse_intermixed_args(
        arguments
    )
    return exit_code(lambda: run_judge_stage(options))


if __name__ == "__main__":
    sys.exit(main())
