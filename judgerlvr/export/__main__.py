"""Export a checkpoint that lies inside a run: each stage exports its last one by itself.

    python -m judgerlvr.export runs/judge/checkpoints/global_step_40

The policy is written to the checkpoint's folder ``policy`` and proved equal to the trainer's shards.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rewards.command_line import OneLineParser
from rewards.errors import exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    parser = OneLineParser(prog="python -m judgerlvr.export", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("checkpoint", type=Path, help="RUN/checkpoints/global_step_N")
    options = parser.parse_args(arguments)
    return exit_code(lambda: _export(options.checkpoint))


def _export(checkpoint: Path) -> None:
    from judgerlvr.export.policy import export_policy

    exported = export_policy(checkpoint, lambda line: print(line, flush=True))
    print(f"{exported.folder}: {exported}")


if __name__ == "__main__":
    sys.exit(main())
