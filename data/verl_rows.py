"""Rows of stage 2, and the parquet files of both stages. ``data.judge_row`` makes the rows of stage 1.

The gold answer goes into ``reward_model``. The prompt is rendered without the gold answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from data.bounded import bounded
from data.identity import earlier_turns
from data.prompts import as_chat, render
from data.replacing import replacing
from rewards.errors import InputError
from rewards.types import Problem

# Rows and characters of a parquet row group at most, which bounds the memory of the writer and of readers.
GROUP, GROUP_CHARACTERS = 4096, 32 << 20
# Fields of ``extra_info`` that this product writes. A column of the same name gives way.
OWN_FIELDS = ("id", "index", "problem", "kind")


def generate_chat(problem: Problem, template: str) -> list[dict[str, str]]:
    """The turns before the problem, then the template with the problem as the last user turn."""
    return [*earlier_turns(problem), *as_chat(render(template, {"problem": problem.text}))]


def render_generate_rows(problems: Sequence[Problem], template: str) -> list[dict[str, Any]]:
    """Stage-2 prompts. The ground truth is the gold answer. ``extra_info`` carries ``problem.meta`` to verifiers."""
    return [
        {
            "data_source": "generate",
            "prompt": generate_chat(problem, template),
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


def write_parquet(path: Path, rows: Iterable[dict[str, Any]], schema: Any = None) -> int:
    """Write all rows or nothing and return their number. The folder is made.

    With a ``schema`` the rows are written in groups, as they come.

    Raises:
        InputError: a column of ``extra_info`` holds values of several types.
    """
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    groups = iter([list(rows)]) if schema is None else row_groups(rows)
    # The first group settles the schema, which all row groups of a parquet file share.
    first = _table(next(groups, []), schema)
    count = first.num_rows
    with replacing(path) as temporary, pyarrow.parquet.ParquetWriter(temporary, first.schema) as writer:
        writer.write_table(first)
        for group in groups:
            writer.write_table(_table(group, first.schema))
            count += len(group)
    return int(count)


def row_groups(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Lists of rows that end at ``GROUP`` rows, or once their prompts have ``GROUP_CHARACTERS``."""
    return bounded(rows, lambda row: sum(len(turn["content"]) for turn in row["prompt"]), GROUP, GROUP_CHARACTERS)


def _table(rows: list[dict[str, Any]], schema: Any) -> Any:
    import pyarrow

    try:
        return pyarrow.Table.from_pylist(rows, schema=schema)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError) as error:
        name = _mixed_column(rows)
        if name is None:
            raise
        remedy = "write one type in all rows, or leave the column out"
        raise InputError(f"column {name!r} holds values of several types", remedy, field=name) from error


def _mixed_column(rows: list[dict[str, Any]]) -> str | None:
    """The first column of ``extra_info`` that has no one Arrow type."""
    import pyarrow

    extras = [row.get("extra_info") or {} for row in rows]
    # Arrow's own error names no column, so the columns are tried in turn.
    for name in dict.fromkeys(name for extra in extras for name in extra):
        try:
            pyarrow.array([extra.get(name) for extra in extras])
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError):
            return name
    return None
