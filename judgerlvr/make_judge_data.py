"""Build a judge set from files of candidate solutions, without training.

    python -m judgerlvr.make_judge_data OUT_DIR judge.data.responses=[FILE,...] [key=value ...]

Takes the same keys as stage 1 and writes what it would train on: train.parquet, heldout.parquet, card.md, card.json.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from judgerlvr.cli import DEFAULT_CONFIG, exit_code
from judgerlvr.config.check import check_config
from judgerlvr.config.load import load_config, resolve_path
from judgerlvr.models.directory import load_tokenizer
from judgerlvr.pipeline.judge_data import make_judge_set, write_judge_set
from rewards.errors import InputError


def make(options: argparse.Namespace) -> None:
    from data.responses import read_responses

    config = load_config(options.config, options.overrides)
    check_config(config)
    if not config.judge.data.responses:
        raise InputError("no candidates", "give judge.data.responses=[FILE,...]", field="judge.data.responses")
    candidates = [row for path in config.judge.data.responses for row in read_responses(resolve_path(path))]
    tokenizer = load_tokenizer(resolve_path(config.model.path))
    judge_set = make_judge_set(config, tokenizer, candidates, config.judge.data.heldout_problems)
    dropped = write_judge_set(config, options.out, tokenizer, judge_set)
    print(judge_set.card.to_markdown())
    print(f"too long for max_prompt_tokens={config.max_prompt_tokens}: {dropped}; written: {options.out / 'data'}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m judgerlvr.make_judge_data", description=(__doc__ or "")[:60])
    parser.add_argument("out", type=Path)
    parser.add_argument("--config", type=Path, default=Path(DEFAULT_CONFIG))
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    options = parser.parse_intermixed_args(arguments)
    return exit_code(lambda: make(options))


if __name__ == "__main__":
    sys.exit(main())
