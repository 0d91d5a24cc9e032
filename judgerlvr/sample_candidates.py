"""Sample candidate solutions of one or more models on every GPU of the cluster, for stage 1 to judge.

    python -m judgerlvr.sample_candidates --model A --model B temperature=0.6 --data FILE... --out DIR [key=value ...]

The command streams samples to DIR/shards. The same command again samples what is missing. At the end DIR holds
candidates.jsonl, which stage 1 takes as ``judge.data.responses``, and summary.json. See docs/judge-data.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from judgerlvr.cli import CONFIG_HELP
from rewards.command_line import OneLineParser
from rewards.errors import exit_code


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    summary = (__doc__ or "").partition("\n")[0]
    parser = OneLineParser(prog="python -m judgerlvr.sample_candidates", description=summary)
    model = "model directory, then what differs for this model: n, temperature, top_p, max_tokens. May be repeated"
    parser.add_argument("--model", nargs="+", action="append", required=True, metavar=("DIR", "KEY=VALUE"), help=model)
    parser.add_argument("--data", nargs="+", required=True, metavar="FILE", help="problems: files, folders, hub names")
    parser.add_argument("--out", type=Path, required=True, help="folder of the samples, new or of the same command")
    parser.add_argument("--round", type=int, help="samples of a round; a problem ends at both classes (default: off)")
    parser.add_argument("--engines", type=int, help="engines (default: 1 on a CPU, else one for each group of GPUs)")
    parser.add_argument("--config", type=Path, help=CONFIG_HELP)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="override a configuration key")
    options = parser.parse_args(arguments)
    # Words after the files of --data belong to --data for argparse.
    words = [word for word in options.data if "=" in word and not Path(word).exists()]
    options.data = [word for word in options.data if word not in words]
    options.overrides += words
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)

    def work() -> None:
        from judgerlvr.pipeline.candidates import run  # after parsing: --help needs no torch

        run(options)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
