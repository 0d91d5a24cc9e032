"""Items of an evaluation set, read from data files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.problems import read_problems
from data.row_files import read_rows
from judgerlvr.sampling.samples import Item, generate_items
from rewards.errors import InputError
from rewards.types import Problem

JUDGE_LABELS = {"1": True, "0": False}


def read_generate_items(path: Path, template: str, need_gold: bool = True) -> list[Item]:
    """Every problem of a file. The set has the name of the file. ``need_gold`` as the verifier asks."""
    return generate_items(read_problems(path, need_gold), template, path.stem)


def read_judge_items(path: Path) -> list[Item]:
    """Judge prompts of a rendered judge set (verl rows of kind ``judge``).

    Raises:
        InputError: a row is of another kind or lacks a field.
    """
    return [_judge_item(row, path, number) for number, row in enumerate(read_rows(path), start=1)]


def _judge_item(row: Mapping[str, Any], path: Path, number: int) -> Item:
    remedy = "make the file with judgerlvr's judge data preparation"
    try:
        extra = row["extra_info"]
        label = JUDGE_LABELS[row["reward_model"]["ground_truth"]]
        problem = Problem(str(extra["problem_id"]), extra["problem"])
        prompt = [dict(turn) for turn in row["prompt"]]
        return Item(str(extra["id"]), path.stem, problem, prompt, label)
    except (KeyError, TypeError) as error:
        raise InputError(f"not a judge row ({error})", remedy, file=path, row=number) from error
