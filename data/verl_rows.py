"""Rows as verl reads them. Gold and label go into ``reward_model``; the prompt is rendered without them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.labelling import Triplet
from data.prompts import as_chat, render
from rewards.types import Problem

# Fields of ``extra_info`` that this product writes. A column of the same name gives way.
OWN_FIELDS = ("id", "index", "problem", "kind")


def render_generate_rows(problems: Sequence[Problem], template: str) -> list[dict[str, Any]]:
    """Stage-2 prompts. The ground truth is the gold answer. ``extra_info`` carries ``problem.meta`` to verifiers."""
    return [
        {
            "data_source": "generate",
            "prompt": as_chat(render(template, {"problem": problem.text})),
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": problem.gold or ""},
            "extra_info": {
                **{name: value for name, value in problem.meta.items() if name not in OWN_FIELDS},
                "id": problem.id,
                "index": index,
                "problem": problem.text,
                "kind": "generate",
            },
        }
        for index, problem in enumerate(problems)
    ]


def render_judge_rows(triplets: Sequence[Triplet], template: str) -> list[dict[str, Any]]:
    """Stage-1 prompts; the ground truth is the label, "1" for a right solution."""
    return [
        {
            "data_source": "judge",
            "prompt": as_chat(render(template, {"problem": triplet.problem.text, "response": triplet.response})),
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": "1" if triplet.label else "0"},
            "extra_info": {
                "id": triplet.id,
                "index": index,
                "problem": triplet.problem.text,
                "kind": "judge",
                "response": triplet.response,
                "answer": triplet.answer or "",
                "problem_id": triplet.problem.id,
            },
        }
        for index, triplet in enumerate(triplets)
    ]


def write_parquet(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write all rows or nothing; makes the folder."""
    import pyarrow
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), temporary)
    temporary.replace(path)
