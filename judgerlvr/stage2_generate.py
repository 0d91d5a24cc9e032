"""Stage 2: plain generation RLVR from the judge's weights (JudgeRLVR, arXiv 2601.08468 section 2.2).

    python -m judgerlvr.stage2_generate --init ckpt/judge [--config FILE] [key=value ...]

Reward 1 if the final answer is correct, else 0; no length term, no judge in the loop. ``--init`` takes weights
only: fresh optimiser, fresh data order. Without it this is vanilla RLVR from ``model.path``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from judgerlvr.cli import exit_code, parser
from judgerlvr.pipeline.stages import run_generate_stage


def main(arguments: Sequence[str] | None = None) -> int:
    commands = parser("judgerlvr.stage2_generate", "Stage 2: generation RL, from the judge or from the base.")
    commands.add_argument("--init", type=Path, metavar="DIR", help="start from these weights (e.g. ckpt/judge)")
    options = commands.parse_intermixed_args(arguments)
    return exit_code(lambda: run_generate_stage(options))


if __name__ == "__main__":
    sys.exit(main())
