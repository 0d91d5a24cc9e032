"""The command ``judgerlvr.judge_benchmark``: judge prompts of all samples, and the table of the verdicts."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from data.prompts import JUDGE_FIELDS, load_template
from judgerlvr.config.load import resolve_path
from judgerlvr.evaluation.comparison import select
from judgerlvr.evaluation.comparison_page import signed
from judgerlvr.evaluation.documents import Block, check_files, to_markdown, write_files
from judgerlvr.evaluation.judge_benchmark import benchmark
from judgerlvr.evaluation.judge_prompts import write_judge_prompts
from judgerlvr.evaluation.outputs import Output, read_output
from judgerlvr.evaluation.records import Record
from judgerlvr.evaluation.table import MISSING, interval, number
from rewards.errors import InputError
from rewards.wording import counted

NOTE = (
    "[low, high]: 95 % clustered Wilson interval over problems. A missing verdict is a miss. Difficulty: share of "
    "right responses among all responses to the problem. Votes: right answers are one answer, wrong answers are one "
    "where their texts are the same. A weighted vote weighs a response by its share of 'right' verdicts, and its "
    "tokens include the judge's. Equal tokens: the majority vote of the most samples that cost no more."
)


def write_prompts(options: argparse.Namespace) -> None:
    """The subcommand ``prompts``."""
    if options.out.exists():
        raise InputError("this file exists", "remove it, or give another --out", file=options.out)
    template = load_template(resolve_path(options.prompt), JUDGE_FIELDS)
    solutions = records_of(read_output(options.solutions), "generate")
    count = write_judge_prompts(solutions, options.problems, template, options.out)
    print(
        f"written: {options.out}, {count} judge prompts; now: python -m judgerlvr.evaluate --judge-data {options.out}"
    )


def write_table(options: argparse.Namespace) -> None:
    """The subcommand ``table``."""
    check_files(options.out)
    verdicts = records_of(read_output(options.verdicts), "judge")
    solutions = records_of(read_output(options.solutions), "generate")
    numbers = benchmark(verdicts, solutions)
    if not numbers["judged"]:
        problem = f"no response of {options.solutions} is judged in {options.verdicts}"
        raise InputError(problem, "make the judge prompts from these responses")
    blocks = judge_page(numbers)
    print(to_markdown(blocks))
    write_files(options.out, blocks, numbers, "Judge benchmark")


def records_of(output: Output, kind: str) -> list[Record]:
    """The sampled records of a kind, else the greedy ones.

    Raises:
        InputError: there are none.
    """
    found = select(output.records, kind) or select(output.records, kind, greedy=True)
    if not found:
        raise InputError(f"no {kind} row in it", "give another evaluation", file=output.folder)
    return found


def judge_page(numbers: Mapping[str, Any]) -> list[Block]:
    blocks = [Block(heading="Balanced accuracy of the judge"), Block(rows=group_table(numbers["groups"]))]
    if numbers["not_found"]:
        line = f"{counted(numbers['not_found'], 'verdict')} about responses that were not given, left out"
        blocks.insert(1, Block(line=line))
    if numbers["calibration"]:
        found = numbers["calibration"]
        line = f"mean distance {number(found['error'])}, Brier score {number(found['brier'])}"
        blocks += [Block(heading="Calibration"), Block(line=line), Block(rows=calibration_table(found["bins"]))]
    for name, voted in numbers["votes"].items():
        if voted["rows"]:
            line = (
                f"{counted(voted['problems'], 'problem')}, {voted['left_out']} left out because a sample has no verdict"
            )
            blocks += [Block(heading=f"Votes: {name}"), Block(line=line), Block(rows=vote_table(voted["rows"]))]
    return [*blocks, Block(line=NOTE)]


def group_table(groups: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    head = ["by", "group", "verdicts", "on right ones", "no verdict", "accuracy", "balanced accuracy"]
    names = ("judged", "right", "no_verdict")
    rows = [
        [row["by"], row["group"], *(str(row[name]) for name in names)]
        + [interval(row[name]) for name in ("accuracy", "balanced_accuracy")]
        for row in groups
    ]
    return [head, *rows]


def calibration_table(bins: Sequence[tuple[float, float, int]]) -> list[list[str]]:
    rows = [[number(share), number(right), str(count)] for share, right, count in bins]
    return [["share of 'right' verdicts", "share of right responses", "prompts"], *rows]


def vote_table(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    head = ["samples", "majority", "tokens", "weighted", "tokens", "majority at equal tokens", "samples", "gain"]
    return [
        head,
        *(
            [
                str(row["k"]),
                interval(row["majority"]),
                number(row["majority_tokens"], 0),
                interval(row["weighted"]),
                number(row["weighted_tokens"], 0),
                interval(row["at_equal_tokens"]),
                MISSING if row["equal_k"] is None else str(row["equal_k"]),
                signed(row["gain"]),
            ]
            for row in rows
        ),
    ]
