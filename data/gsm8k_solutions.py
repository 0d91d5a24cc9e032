"""Convert GSM8K's file of four models' solutions into candidates for the judge stage.

    python -m data.gsm8k_solutions IN.jsonl OUT.jsonl

Its problems are part of the GSM8K *test* set: name that set in ``data.evaluation`` and they are refused. Answers end in
``A: n`` without a box, so label them with ``reward.extraction=lenient``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from data.jsonl import write_jsonl
from data.row_files import read_rows
from rewards.command_line import OneLineParser
from rewards.errors import InputError, exit_code

ANSWER = re.compile(r"A:\s*(\S+)\s*$")


def convert(rows: Sequence[dict[str, Any]], path: Path) -> Iterator[dict[str, Any]]:
    """One candidate for each (problem, model): every value that is a solution with ``is_correct``."""
    for number, row in enumerate(rows, start=1):
        marked = ANSWER.search(row.get("ground_truth") or "")
        if not marked or "question" not in row:
            text = "needs question and a ground_truth that ends in A: n"
            raise InputError(text, "give the published file", file=path, row=number)
        solutions = {name: value for name, value in row.items() if isinstance(value, dict) and "is_correct" in value}
        for model, value in solutions.items():
            yield {
                "id": f"gsm8k-{number}",
                "problem": row["question"],
                "gold": marked.group(1),
                "response": value["solution"],
                "label": bool(value["is_correct"]),
                "model": model,
            }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = OneLineParser(prog="python -m data.gsm8k_solutions")
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args(arguments)
    return exit_code(lambda: write_jsonl(options.out, list(convert(read_rows(options.source), options.source))))


if __name__ == "__main__":
    sys.exit(main())
