"""What is evaluated (Item), what the policy wrote (Sample), and the graded row on disk (Record)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from data.jsonl import read_jsonl, write_jsonl
from rewards.errors import InputError
from rewards.extraction.thinking import THINK_CLOSE, THINK_OPEN
from rewards.types import Problem

CUT = "length"  # the finish reason of an output that ran into its token limit
OVERSIZE = "prompt_too_long"  # never sampled: scores 0 and is counted, so that row counts stay right


@dataclass(frozen=True)
class Item:
    """One prompt of an evaluation set; ``label`` is None for a generate prompt.

    ``problem.id`` is the cluster of the intervals: all judge prompts of one problem share it.
    """

    id: str
    set: str
    problem: Problem
    prompt: list[dict[str, str]]
    label: bool | None = None

    @property
    def kind(self) -> str:
        return "generate" if self.label is None else "judge"


@dataclass(frozen=True)
class Sample:
    """One response before grading. Token counts are those of the policy's own tokens.

    ``thinking_tokens`` runs to the end of the last closing think tag; ``mean_logprob`` is per token, under the
    distribution that was sampled from. Both are None where only text is known.
    """

    item: Item
    index: int
    response: str
    prompt_text: str = ""
    tokens: int | None = None
    thinking_tokens: int | None = None
    finish_reason: str = "stop"
    mean_logprob: float | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Record:
    """One graded response, flat, as it is written to ``samples.jsonl``."""

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
    """The text up to the last closing think tag, tags stripped; "" where the tag never closes."""
    return response.rpartition(THINK_CLOSE)[0].replace(THINK_OPEN, "").strip()


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write one JSON object a line."""
    write_jsonl(path, map(asdict, records))


def read_records(path: Path) -> list[Record]:
    """Read what ``write_records`` wrote.

    Raises:
        InputError: a line is no JSON object or lacks a field.
    """
    return [_record(row, path, number) for number, row in enumerate(read_jsonl(path), start=1)]


def _record(values: Mapping[str, Any], path: Path, row: int) -> Record:
    for wanted in fields(Record):
        if wanted.name not in values:
            remedy = "write the file anew with judgerlvr.evaluate"
            raise InputError("missing", remedy, file=path, row=row, field=wanted.name)
    return Record(**{wanted.name: values[wanted.name] for wanted in fields(Record)})
