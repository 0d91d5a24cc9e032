"""The graded row of an evaluation as it lies on disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data.jsonl import read_jsonl, write_jsonl
from data.typed_rows import field_fault, field_types
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
    write_jsonl(path, map(asdict, records))


def read_records(path: Path) -> list[Record]:
    """Read the file of ``write_records``.

    Raises:
        InputError: a line is no JSON object, lacks a field, or has a value of another type.
    """
    return [_record(row, path, number) for number, row in enumerate(read_jsonl(path), start=1)]


def _record(values: Mapping[str, Any], path: Path, row: int) -> Record:
    types = field_types(Record)
    if found := field_fault(values, types):
        name, fault = found
        raise InputError(fault, "write the file anew with judgerlvr.evaluate", file=path, row=row, field=name)
    return Record(**{name: values[name] for name in types})
