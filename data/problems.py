"""Problems from the files that people have: several names for the same column, several ways to write a gold answer."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from data.row_files import Row, read_rows
from rewards.errors import InputError
from rewards.extraction.boxes import outer_boxes
from rewards.extraction.gold import all_of, any_of, gold_answers
from rewards.types import Problem, Result

GradeMany = Callable[[Sequence[tuple[Problem, str]]], list[Result]]


class GoldGrader(Protocol):
    """The part of ``rewards.grading.pool.GraderPool`` that checks golds."""

    @property
    def reads_answers(self) -> bool: ...

    def completion_of(self, answer: str) -> str: ...

    def grade_many(self, pairs: Sequence[tuple[Problem, str]]) -> list[Result]: ...


# Compared in lower case: SVAMP writes Body, Question and Answer.
TEXT_FIELDS = ("problem", "question", "prompt")
GOLD_FIELDS = ("gold", "answer", "ground_truth", "final_answer")
ID_FIELDS = ("id", "problem_id", "unique_id")
GSM8K_ANSWER = re.compile(r"####\s*(.+?)\s*$")


def read_problems(path: str | Path, need_gold: bool = True) -> list[Problem]:
    """Problems of a file (JSONL, JSON, parquet; also parquet made for verl), in order.

    ``need_gold`` is False where the verifier accepts problems without a gold answer.

    Raises:
        InputError: a row without text or gold, a field of the wrong type, or an id that occurs twice.
    """
    path = Path(path)
    problems = [parse_problem(row, path, number, need_gold) for number, row in enumerate(read_rows(path), start=1)]
    seen: dict[str, int] = {}
    for number, problem in enumerate(problems, start=1):
        if problem.id in seen:
            text = f"duplicate id {problem.id!r} (also row {seen[problem.id]})"
            raise InputError(text, "give each problem an id of its own", file=path, row=number, field="id")
        seen[problem.id] = number
    return problems


def parse_problem(row: Row, path: Path, number: int, need_gold: bool = True) -> Problem:
    """One row; raises an InputError that names the field."""
    row = {key.lower(): value for key, value in row.items()}
    extra = row.get("extra_info") or {}
    text = extra.get("problem") or _text(row, path, number)
    name = next((row[field] for field in ID_FIELDS if row.get(field) not in (None, "")), None)
    name = name if name is not None else extra.get("id")
    return Problem(
        id=str(name) if name is not None else f"{path.stem}-{number}",
        text=text,
        gold=_gold(row, path, number, need_gold),
        meta=extra or {key: value for key, value in row.items() if key not in (*TEXT_FIELDS, *GOLD_FIELDS)},
    )


def _text(row: Row, path: Path, number: int) -> str:
    field = next((name for name in TEXT_FIELDS if name in row), None)
    if field is None:
        remedy = f"add one of {', '.join(TEXT_FIELDS)}"
        raise InputError("no problem text", remedy, file=path, row=number, field=TEXT_FIELDS[0])
    value = row[field]
    if isinstance(value, list):
        value = _last_user_turn(value)
    if field == "question" and isinstance(row.get("body"), str):
        value = f"{row['body'].rstrip()} {value}"
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"is {type(value).__name__} or empty", "write text", file=path, row=number, field=field)
    return value


def _last_user_turn(chat: Sequence[Any]) -> Any:
    turns = [turn.get("content") for turn in chat if isinstance(turn, dict) and turn.get("role") == "user"]
    return turns[-1] if turns else None


def _gold(row: Row, path: Path, number: int, need_gold: bool) -> str | None:
    """The final answer: after ``####``, as given, or the last box of a worked solution."""
    model = row.get("reward_model")
    field = next((name for name in GOLD_FIELDS if row.get(name) not in (None, "")), None)
    if isinstance(model, dict) and model.get("ground_truth") not in (None, ""):
        return _as_text(model["ground_truth"], path, number, "reward_model.ground_truth")
    if field is not None:
        value = _as_text(row[field], path, number, field)
        marked = GSM8K_ANSWER.search(value)
        return marked.group(1) if marked else value
    boxes = outer_boxes(row["solution"]) if isinstance(row.get("solution"), str) else []
    if boxes and boxes[-1].content:
        return boxes[-1].content
    if not need_gold:
        return None
    remedy = f"add one of {', '.join(GOLD_FIELDS)}"
    raise InputError("no gold answer", remedy, file=path, row=number, field=GOLD_FIELDS[1])


def _as_text(value: Any, path: Path, number: int, field: str) -> str:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    for kind, joined in (("any", any_of), ("all", all_of)):
        if isinstance(value, dict) and set(value) == {kind} and isinstance(value[kind], list) and value[kind]:
            value = joined([_as_text(answer, path, number, field) for answer in value[kind]])
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"gold is {value}", "write a finite answer", file=path, row=number, field=field)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        kind = f"{len(value)} answers" if isinstance(value, list) else type(value).__name__
        remedy = 'write one answer as text or number, or {"any": [...]}, or {"all": [...]}'
        raise InputError(f"gold is {kind}", remedy, file=path, row=number, field=field)
    return str(value).strip()


def check_golds(problems: Sequence[Problem], grader: GoldGrader, path: Path) -> None:
    """Raise an InputError for the first gold that, boxed as an answer, is not graded as correct.

    Problems without a gold pass, and so does everything under a verifier that reads more than the answer.
    """
    rows = [
        (number, problem) for number, problem in enumerate(problems, start=1) if problem.gold and grader.reads_answers
    ]
    tries = [(problem, grader.completion_of(gold_answers(problem.gold or "")[0])) for _, problem in rows]
    for (number, problem), result in zip(rows, grader.grade_many(tries), strict=True):
        if not result.score:
            remedy = "mend it, or use a reward.verifier that reads it"
            text = f"gold {problem.gold!r} is unparsable: against itself it is {result.reason}"
            raise InputError(text, remedy, file=path, row=number, field="gold")
