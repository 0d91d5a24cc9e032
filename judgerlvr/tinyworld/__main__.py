"""Write problem sets: ``python -m judgerlvr.tinyworld OUT_DIR``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from judgerlvr.tinyworld.problems import generate_problems, write_problems
from judgerlvr.tinyworld.task import World, WorldConfig
from rewards.command_line import OneLineParser
from rewards.errors import InputError


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = OneLineParser(prog="python -m judgerlvr.tinyworld", description=__doc__)
    parser.add_argument("out_dir", type=Path, help="folder for train.jsonl and heldout.jsonl")
    parser.add_argument("--train", type=int, default=2048, help="training problems (default %(default)s)")
    parser.add_argument("--heldout", type=int, default=512, help="held-out problems (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the problems (default %(default)s)")
    parser.add_argument("--min-steps", type=int, default=WorldConfig.min_steps, help="default %(default)s")
    parser.add_argument("--max-steps", type=int, default=WorldConfig.max_steps, help="default %(default)s")
    return parser.parse_args(arguments)


def check_arguments(options: argparse.Namespace) -> None:
    if not 1 <= options.min_steps <= options.max_steps <= 25:
        raise InputError(
            f"steps {options.min_steps} to {options.max_steps} are out of range",
            "give 1 <= --min-steps <= --max-steps <= 25",
        )
    if min(options.train, options.heldout) < 1:
        raise InputError("a split would be empty", "give --train and --heldout of at least 1")
    # About 180 one-step problems are held out, a tenth of all. A request for more would never end.
    if options.max_steps == 1 and max(options.train, options.heldout) > 100:
        raise InputError("too few one-step problems exist", "raise --max-steps or ask for at most 100")
    if options.out_dir.exists() and not options.out_dir.is_dir():
        raise InputError("is not a folder", "give the path of a folder", file=options.out_dir)


def write_splits(options: argparse.Namespace) -> None:
    world = World(WorldConfig(min_steps=options.min_steps, max_steps=options.max_steps))
    options.out_dir.mkdir(parents=True, exist_ok=True)
    write_problems(options.out_dir / "train.jsonl", generate_problems(options.train, options.seed, "train", world))
    rows = generate_problems(options.heldout, options.seed, "heldout", world)
    write_problems(options.out_dir / "heldout.jsonl", rows)
    print(f"{options.train} training and {options.heldout} held-out problems in {options.out_dir}")


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    try:
        check_arguments(options)
        write_splits(options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
