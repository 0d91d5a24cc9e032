"""Candidate solutions: read from files, or as they were just sampled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.problems import parse_problem
from data.row_files import read_rows
from rewards.errors import InputError
from rewards.types import Problem

LABEL_FIELDS = ("label", "is_correct", "correct")
# 1 and 0 are found under True and False.
LABELS = {True: True, False: False, "1": True, "0": False, "true": True, "false": False}


@dataclass(frozen=True)
class Candidate:
    """One response to a problem; ``label`` is the file's own claim, None where it makes none."""

    problem: Problem
    response: str
    label: bool | None = None
    model: str = ""
    finish_reason: str = "stop"


def read_responses(path: str | Path) -> list[Candidate]:
    """Candidates of a file: problem and gold (names as for problems), response, optionally label and model.

    Rows of one problem share its ``id`` (or ``problem_id``); without one, its text.

    Raises:
        InputError: a missing or empty response, or a label that is neither true nor false.
    """
    path = Path(path)
    return [_candidate(row, path, number) for number, row in enumerate(read_rows(path), start=1)]


def candidates_from_rows(rows: Iterable[Mapping[str, Any]]) -> list[Candidate]:
    """Rows as the sampler gives them."""
    return [
        Candidate(
            problem=Problem(row["id"], row["problem"], row["gold"]),
            response=row["response"],
            model=row["model"],
            finish_reason=row["finish_reason"],
        )
        for row in rows
    ]


def _candidate(row: dict[str, Any], path: Path, number: int) -> Candidate:
    response = row.get("response")
    if not isinstance(response, str) or not response.strip():
        fault = "missing" if "response" not in row else f"{type(response).__name__} or empty"
        raise InputError(fault, "give the response's text", file=path, row=number, field="response")
    problem = parse_problem(row, path, number)
    if not any(row.get(name) for name in ("id", "problem_id", "unique_id")):
        problem = Problem(problem.text, problem.text, problem.gold, problem.meta)
    model, finish = str(row.get("model", "")), str(row.get("finish_reason", "stop"))
    return Candidate(problem, response, _label(row, path, number), model, finish)


def _label(row: dict[str, Any], path: Path, number: int) -> bool | None:
    field = next((name for name in LABEL_FIELDS if row.get(name) is not None), None)
    if field is None:
        return None
    value = row[field].lower() if isinstance(row[field], str) else row[field]
    if isinstance(value, list | dict) or value not in LABELS:
        raise InputError(f"label is {row[field]!r}", "write true or false", file=path, row=number, field=field)
    return LABELS[value]
