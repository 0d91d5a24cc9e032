"""Show how files of problems are read, before a run.

    python -m judgerlvr.inspect_data FILE... [--golds] [--out NORMALISED.jsonl] [data.columns.problem=NAME ...]

A FILE may be a file, a folder, a glob, or a name of the hub. The command prints columns, lengths and five problems.
The command names rows that cannot be used, golds that the verifier does not read, and what the files share.
With --golds each gold is restyled and mutated too: golds that no right answer matches are listed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from judgerlvr.cli import CONFIG_HELP
from judgerlvr.config.check import check_config
from judgerlvr.config.effective import configure
from rewards.command_line import OneLineParser
from rewards.errors import InputError, exit_code
from rewards.wording import counted


def inspect(options: argparse.Namespace) -> None:
    """Print what the options ask for, and write the normalised file if one is named.

    Raises:
        InputError: a source cannot be read, the output exists, or rows cannot be used under ``data.bad_rows=stop``.
    """
    from data.inspection import describe, describe_golds, describe_overlaps, normalised_rows
    from data.jsonl import write_jsonl
    from data.problems import read_problem_set
    from judgerlvr.pipeline.problems import read_options
    from rewards.grading.settings import GradingSettings

    config = configure(options.config, options.overrides).config
    check_config(config)
    if options.out and options.out.exists():
        raise InputError("the file exists", "give --out a new name", file=options.out)
    # Rows that cannot be used are shown with all else, and stop the command at its end.
    reading = replace(read_options(config.data, config.reward.verifier), bad_rows="drop")
    sets = [read_problem_set(source, reading) for source in options.files]
    with GradingSettings(
        config.reward.verifier, config.reward.extraction.value, config.reward.workers
    ).open_pool() as pool:
        for found in sets:
            print("\n".join(describe(found, pool)), flush=True)
            if options.golds:
                print("\n".join(describe_golds(found, pool)), flush=True)
    for line in describe_overlaps(sets):
        print(line)
    if config.data.bad_rows == "stop":
        for found in sets:
            found.bad.raise_all()
    if options.out:
        problems = {problem.id: problem for found in sets for problem in found.problems}
        write_jsonl(options.out, normalised_rows(problems.values()))
        print(f"written: {counted(len(problems), 'problem')} in {options.out}")


def main(arguments: Sequence[str] | None = None) -> int:
    summary = (__doc__ or "").partition("\n")[0]
    parser = OneLineParser(prog="python -m judgerlvr.inspect_data", description=summary)
    parser.add_argument("words", nargs="+", metavar="FILE or key=value")
    parser.add_argument("--config", type=Path, help=CONFIG_HELP)
    parser.add_argument("--golds", action="store_true", help="list golds that answers never or too easily match")
    parser.add_argument("--out", type=Path, help="write the problems as plain JSON lines, each problem once")
    options = parser.parse_args(arguments)
    options.overrides = [word for word in options.words if "=" in word and not Path(word).exists()]
    options.files = [word for word in options.words if word not in options.overrides]
    return exit_code(lambda: inspect(options))


if __name__ == "__main__":
    sys.exit(main())
