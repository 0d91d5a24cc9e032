"""Stage 2: plain generation RLVR from the judge's weights (JudgeRLVR, arXiv 2601.08468 section 2.2).

    python -m judgerlvr.stage2_generate --init ckpt/judge [--config FILE] [key=value ...]

Reward 1 if the final answer is correct, else 0. There is no length term and no judge in the loop. ``--init`` takes
weights only: the optimiser and the data order are fresh. Without ``--init`` this is vanilla RLVR from ``model.path``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from judgerlvr.cli import stage_parser
from rewards.errors import exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    parser = stage_parser("judgerlvr.stage2_generate", "Stage 2: generation RL, from the judge or from the base.")
    parser.add_argument("--init", type=Path, metavar="DIR", help="start from these weights (e.g. ckpt/judge)")
    options = parser.parse_intermixed_args(arguments)

    def work() -> None:
        from judgerlvr.pipeline.command import run_command  # after parsing: --help needs no torch

        run_command("generate", options)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
