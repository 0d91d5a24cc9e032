"""The graded row of an evaluation as it lies on disk."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from judgerlvr.sampling.samples import CUT
from rewards.errors import InputError
from rewards.extraction.thinking import THINK_CLOSE, THINK_OPEN


@dataclass(frozen=True)
class Record:
    """One graded response, flat, in the form of ``samples.jsonl``."""

    set: str
    kind: str
    decoding: str
    id: str
    problem_id: str
    sample: int
    prompt: str
    response: str
    answer: str | None
    gold: str | None
    label: bool | None
    verdict: bool | None
    score: float
    reason: str
    seconds: float
    tokens: int | None
    thinking_tokens: int | None
    finish_reason: str
    mean_logprob: float | None
    seed: int | None

    @property
    def outcome(self) -> str:
        """``correct``, else ``truncated`` if the output was cut, else ``wrong``."""
        if self.score == 1.0:
            return "correct"
        return "truncated" if self.finish_reason == CUT else "wrong"


def thinking_text(response: str) -> str:
    """The text up to the last closing think tag, without tags. Empty if the tag never closes."""
    return response.rpartition(THINK_CLOSE)[0].replace(THINK_OPEN, "").strip()


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write one JSON object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(asdict(record), ensure_ascii=False) + "\n" for record in records)
    with path.open("w", encoding="utf-8") as out:
        out.writelines(lines)


def read_records(path: Path) -> list[Record]:
    """Read the file of ``write_records``.

    Raises:
        InputError: a line is no JSON object or lacks a field.
    """
    # Not splitlines(): a response may hold other line ends, such as U+2028, unescaped.
    lines = path.read_text(encoding="utf-8").split("\n")
    return [_parse(line, path, row) for row, line in enumerate(lines, start=1) if line]


def _parse(line: str, path: Path, row: int) -> Record:
    remedy = "write the file anew with judgerlvr.evaluate"
    try:
        values: Mapping[str, Any] = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON ({error.msg})", remedy, file=path, row=row) from error
    for wanted in fields(Record):
        if wanted.name not in values:
            raise InputError("missing", remedy, file=path, row=row, field=wanted.name)
    return Record(**{wanted.name: values[wanted.name] for wanted in fields(Record)})
