"""Training rollouts in the run folder: some samples of each step, as ``rollouts/step_NNNNNN.jsonl``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from data.jsonl import read_jsonl, write_jsonl
from data.typed_rows import record_fault
from rewards.errors import InputError

ROLLOUTS = "rollouts"


@dataclass(frozen=True)
class LoggedRollout:
    """One logged sample. ``score`` is the reward that was trained on, and ``label`` is None outside judging."""

    step: int
    id: str
    sample: int
    prompt: str
    response: str
    score: float
    reason: str
    tokens: int
    truncated: bool = False
    label: bool | None = None


def write_step(folder: Path, step: int, rollouts: Iterable[LoggedRollout]) -> None:
    """Write the file of one step."""
    write_jsonl(folder / f"step_{step:06d}.jsonl", map(asdict, rollouts))


def read_steps(folder: Path, last: int | None = None) -> Iterator[LoggedRollout]:
    """Logged rollouts in the order of steps, of the ``last`` steps or of all. None without the folder.

    Raises:
        InputError: a line is damaged.
    """
    files = sorted(folder.glob("step_*.jsonl"))
    for path in files if last is None else files[-last:]:
        for number, row in enumerate(read_jsonl(path, torn_last_line=True), start=1):
            yield _rollout(row, path, number)


def _rollout(row: Mapping[str, Any], path: Path, number: int) -> LoggedRollout:
    if found := record_fault(row, LoggedRollout):
        raise InputError(f"not a rollout ({found[1]})", "remove the line", file=path, row=number, field=found[0])
    return LoggedRollout(**{item.name: row[item.name] for item in fields(LoggedRollout) if item.name in row})
