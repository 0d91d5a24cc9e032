"""Run folders as the report sees them: whatever is there is read, whatever is not stays absent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.jsonl import read_jsonl
from judgerlvr.evaluation.records import Record, read_records
from rewards.errors import InputError

ROLLOUT_STEPS = 2  # training rollouts are shown for the last steps only


@dataclass(frozen=True)
class Measured:
    """One evaluation: its label, its summary and its samples."""

    label: str
    summary: Mapping[str, Any]
    samples: list[Record]

    def row(self, kind: str, greedy: bool = False) -> Mapping[str, Any] | None:
        """The first row of this kind, greedy or not; None if that was not run."""
        rows = self.summary.get("results", [])
        fitting = [r for r in rows if r["kind"] == kind and (r["decoding"]["name"] == "greedy") == greedy]
        return fitting[0] if fitting else None


@dataclass(frozen=True)
class Run:
    """One run folder. ``metrics`` has one merged row a step, in order."""

    folder: Path
    manifest: Mapping[str, Any] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[Measured] = field(default_factory=list)
    rollouts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.manifest.get("name") or self.folder.name)

    @property
    def stage(self) -> str | None:
        """``judge``, ``generate``, or None for a folder that only holds an evaluation."""
        return self.manifest.get("stage")


def read_run(folder: Path) -> Run:
    """Read a run folder, or the output folder of an evaluation.

    Raises:
        InputError: there is nothing to report in it, or a file in it cannot be read.
    """
    if not folder.is_dir():
        raise InputError("no such run folder", "give folders under runs/", file=folder)
    run = Run(
        folder=folder,
        manifest=_read_json(folder / "manifest.json") or {},
        metrics=merge_steps(_read_lines(folder / "metrics.jsonl")),
        evaluations=_evaluations(folder),
        rollouts=_rollouts(folder / "rollouts"),
    )
    if not (run.manifest or run.metrics or run.evaluations):
        raise InputError("no manifest.json, metrics.jsonl or eval/ in it", "give a run folder", file=folder)
    return run


def merge_steps(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a step: training and validation write rows of their own, and a resumed run repeats steps."""
    merged: dict[int, dict[str, Any]] = {}
    for row in rows:
        merged.setdefault(int(row["step"]), {}).update(row)
    return [merged[step] for step in sorted(merged)]


def _evaluations(folder: Path) -> list[Measured]:
    places = [folder, *sorted(path for path in (folder / "eval").glob("*") if path.is_dir())]
    return [_evaluation(place) for place in places if (place / "summary.json").is_file()]


def _evaluation(folder: Path) -> Measured:
    samples = folder / "samples.jsonl"
    summary = _read_json(folder / "summary.json") or {}
    return Measured(folder.name, summary, read_records(samples) if samples.is_file() else [])


def _rollouts(folder: Path) -> list[dict[str, Any]]:
    files = sorted(folder.glob("*.jsonl"), key=lambda path: (len(path.stem), path.stem))
    return [row for path in files[-ROLLOUT_STEPS:] for row in _read_lines(path)]


def _read_json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON ({error.msg})", "restore or remove the file", file=path) from error
    return content


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSONL file. A last line that a crash cut short is left out."""
    return list(read_jsonl(path, torn_last_line=True)) if path.is_file() else []
