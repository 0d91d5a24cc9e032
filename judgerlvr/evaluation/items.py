"""Items of an evaluation set, read from data files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.importing.options import ReadOptions
from data.judge_row import JudgeRow
from data.problems import DEFAULT, read_problem_set
from data.row_files import read_rows
from judgerlvr.sampling.samples import Item, generate_items
from rewards.errors import InputError
from rewards.types import Problem


def read_generate_items(path: Path, template: str, options: ReadOptions = DEFAULT) -> list[Item]:
    """Every problem of a source. The path is the name of the set, since two files may share their last part.

    Notes on the source are printed: columns that are not shown, repeated problems, rows that were dropped.
    """
    found = read_problem_set(path, options)
    for note in found.notes():
        print(note, flush=True)
    return generate_items(found.problems, template, str(path))


def read_judge_items(path: Path) -> list[Item]:
    """Judge prompts of a rendered judge set (verl rows of kind ``judge``).

    Raises:
        InputError: a row is of another kind or lacks a field.
    """
    return [_judge_item(row, path, number) for number, row in enumerate(read_rows(path), start=1)]


def _judge_item(row: Mapping[str, Any], path: Path, number: int) -> Item:
    try:
        judge = JudgeRow.from_verl(row)
    except InputError as error:
        raise replace(error, file=path, row=number) from error
    return Item(judge.id, str(path), Problem(judge.problem_id, judge.problem), judge.prompt, judge.label)
