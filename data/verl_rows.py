"""Rows as verl reads them. Gold and label go into ``reward_model``; the prompt is rendered without them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.judge_row import JudgeRow
from data.labelling import Triplet
from data.prompts import as_chat, render
from rewards.types import Problem


def render_generate_rows(problems: Sequence[Problem], template: str) -> list[dict[str, Any]]:
    """Stage-2 prompts; the ground truth is the gold answer."""
    return [
        {
            "data_source": "generate",
            "prompt": as_chat(render(template, {"problem": problem.text})),
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": problem.gold or ""},
            "extra_info": {"id": problem.id, "index": index, "problem": problem.text, "kind": "generate"},
        }
        for index, problem in enumerate(problems)
    ]


def judge_row(triplet: Triplet, template: str) -> JudgeRow:
    """The judge prompt of a triplet."""
    shown = {"problem": triplet.problem.text, "response": triplet.response}
    return JudgeRow(
        id=triplet.id,
        problem_id=triplet.problem.id,
        problem=triplet.problem.text,
        response=triplet.response,
        answer=triplet.answer or "",
        label=triplet.label,
        prompt=as_chat(render(template, shown)),
    )


def render_judge_rows(triplets: Sequence[Triplet], template: str) -> list[dict[str, Any]]:
    """Stage-1 prompts. The ground truth is the label."""
    return [judge_row(triplet, template).to_verl(index) for index, triplet in enumerate(triplets)]


def write_parquet(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write all rows or nothing; makes the folder."""
    import pyarrow
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), temporary)
    temporary.replace(path)
