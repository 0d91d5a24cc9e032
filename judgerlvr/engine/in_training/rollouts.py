"""Rollouts as they lie in verl's transfer queue, read into plain records and written to the run folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transfer_queue

from data.judge_row import is_judge_row, read_label
from judgerlvr.runs.rollout_log import LoggedRollout, write_step

FIELDS = ["prompts", "responses", "rm_scores", "extra_fields", "extra_info", "reward_model"]


@dataclass(frozen=True)
class Rollout:
    """One sampled response and its grade.

    ``score`` may hold a length term, ``correct`` never does. ``label`` is the judge label, None when generating.
    ``answer`` and ``shown_characters`` describe the judged solution, for the shortcut baselines.
    """

    prompt_id: str
    sample: int
    prompt_ids: list[int]
    response_ids: list[int]
    score: float
    correct: bool
    reason: str
    seconds: float
    truncated: bool
    label: bool | None
    answer: str = ""
    shown_characters: int = 0

    @property
    def tokens(self) -> int:
        return len(self.response_ids)


def read_rollouts(partition: str, uids: list[str], tags: dict[str, Any]) -> dict[str, list[Rollout]]:
    """Rollouts by prompt uid, prompts in the given order and samples by number."""
    # By number, because as text sample 10 comes before sample 2.
    keys = sorted((key for key in tags if key.split("_")[0] in set(uids)), key=lambda key: int(key.split("_")[1]))
    groups: dict[str, list[Rollout]] = {uid: [] for uid in uids}
    if keys:
        data = transfer_queue.kv_batch_get(keys=keys, partition_id=partition, select_fields=FIELDS)
        columns = {name: _rows(data[name]) for name in FIELDS}
        for index, key in enumerate(keys):
            uid, sample = key.split("_")[:2]
            groups[uid].append(_rollout(int(sample), {name: columns[name][index] for name in FIELDS}))
    return {uid: group for uid, group in groups.items() if group}


def _rows(column: Any) -> list[Any]:
    """A nested tensor or a stack of plain objects as a list of rows."""
    if isinstance(column, torch.Tensor):
        return list(column.unbind())
    return column.tolist() if hasattr(column, "tolist") else [getattr(row, "data", row) for row in column]


def _rollout(sample: int, row: dict[str, Any]) -> Rollout:
    graded = row["extra_fields"]["reward_extra_info"]
    judged = is_judge_row(row)
    return Rollout(
        prompt_id=str(row["extra_info"]["id"]),
        sample=sample,
        prompt_ids=row["prompts"].tolist(),
        response_ids=row["responses"].tolist(),
        score=float(row["rm_scores"].sum()),
        correct=float(graded["acc"]) > 0,
        reason=str(graded.get("reason", "")),
        seconds=float(graded.get("seconds", 0.0)),
        truncated=bool(row["extra_fields"].get("truncated", False)),
        label=read_label(row) if judged else None,
        answer=str(row["extra_info"].get("answer", "")),
        shown_characters=len(row["extra_info"].get("response", "")),
    )


def write_rollouts(folder: Path, step: int, groups: list[list[Rollout]], decode: Callable[[list[int]], str]) -> None:
    """Log the samples of a step, prompts in the given order."""
    write_step(folder, step, (_logged(rollout, step, decode) for group in groups for rollout in group))


def _logged(rollout: Rollout, step: int, decode: Callable[[list[int]], str]) -> LoggedRollout:
    return LoggedRollout(
        step=step,
        id=rollout.prompt_id,
        sample=rollout.sample,
        prompt=decode(rollout.prompt_ids),
        response=decode(rollout.response_ids),
        score=rollout.score,
        reason=rollout.reason,
        tokens=rollout.tokens,
        truncated=rollout.truncated,
        label=rollout.label,
    )
