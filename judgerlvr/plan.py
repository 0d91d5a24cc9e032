"""Plan a stage on more GPUs: time and memory of a step, gathers, idle engines, and asynchronous rollouts.

    python -m judgerlvr.plan CONFIG.yaml --gpus 8,64,512 [--stage generate] [key=value ...]
    python -m judgerlvr.plan CONFIG.yaml --phases

Lengths of responses come from a run (``--lengths RUN``), or from lognormals with ``--mean`` tokens and ``--tail``,
the 99th percentile over the mean. Only the policy's config.json is read, and no GPU is needed. With ``--phases`` the
plan of a dry run is printed, for the GPUs that the configuration names.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rewards.command_line import OneLineParser
from rewards.errors import exit_code

# The options are None where the command line does not give them.
GPUS, TAIL = "8,64,512", "1.5,4"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = OneLineParser(prog="python -m judgerlvr.plan", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("config", type=Path, help="configuration file, such as configs/qwen3_30b_a3b.yaml")
    parser.add_argument("--gpus", help=f"numbers of GPUs (default {GPUS})")
    parser.add_argument("--phases", action="store_true", help="plan of the configured GPUs: memory by phase")
    parser.add_argument("--stage", choices=("judge", "generate"), default="generate", help="(default %(default)s)")
    parser.add_argument("--lengths", type=Path, metavar="RUN", help="run whose logged rollouts give the lengths")
    parser.add_argument("--mean", type=float, help="mean tokens of a response (default: a quarter of the longest)")
    parser.add_argument("--tail", help=f"99th percentile over the mean (default {TAIL})")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="override a configuration key")
    options = parser.parse_intermixed_args(arguments)

    def work() -> None:
        from judgerlvr.pipeline.planned import print_plan  # after parsing: --help stays light

        print_plan(options, GPUS, TAIL)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
