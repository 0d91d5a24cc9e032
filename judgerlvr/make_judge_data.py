"""Build a judge set from files of candidate solutions, without training.

    python -m judgerlvr.make_judge_data OUT_DIR judge.data.responses=[FILE,...] [key=value ...]

The command takes the configuration keys of stage 1. The output is train.parquet, heldout.parquet and the data card.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from judgerlvr.cli import CONFIG_HELP
from judgerlvr.config.effective import configure, describe
from rewards.command_line import OneLineParser
from rewards.errors import InputError, exit_code


def make(options: argparse.Namespace) -> None:
    """Write the judge set of the options' configuration into the output folder."""
    from judgerlvr.models.directory import load_tokenizer
    from judgerlvr.pipeline.inputs import check_verdicts
    from judgerlvr.pipeline.judge_data import make_judge_set, read_candidates, write_judge_set
    from judgerlvr.pipeline.problems import read_options
    from judgerlvr.pipeline.reward_settings import grading_settings

    effective = configure(options.config, options.overrides)
    for line in describe(effective):
        print(line, flush=True)
    config = effective.config
    if not config.judge.data.responses:
        raise InputError("no candidates", "give judge.data.responses=[FILE,...]", field="judge.data.responses")
    check_verdicts(config.judge.data)
    folder = options.out / "data"
    if any(folder.glob("*.parquet")):
        raise InputError("holds a judge set already", "give another OUT_DIR, or remove the set", file=folder)
    tokenizer = load_tokenizer(Path(config.model.path), config.model.trust_remote_code)
    grading, heldout = grading_settings(config.reward, tokenizer), config.judge.data.heldout_problems
    candidates = read_candidates(config.judge.data, read_options(config.data, config.reward.verifier))
    judge_set = make_judge_set(config, grading, tokenizer, candidates, heldout, options.out)
    write_judge_set(config.judge.data, folder, judge_set)
    print(judge_set.card.to_markdown())
    print(f"processor seconds: {judge_set.seconds}; written: {folder}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = OneLineParser(prog="python -m judgerlvr.make_judge_data", description=(__doc__ or "")[:60])
    parser.add_argument("out", type=Path)
    parser.add_argument("--config", type=Path, help=CONFIG_HELP)
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    options = parser.parse_intermixed_args(arguments)
    return exit_code(lambda: make(options))


if __name__ == "__main__":
    sys.exit(main())
