"""Run folders as the report sees them: whatever is there is read, whatever is not stays absent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.jsonl import read_jsonl
from judgerlvr.evaluation.records import Record, read_records
from judgerlvr.runs.manifest import MANIFEST, Manifest, read_manifest
from judgerlvr.runs.metrics import METRICS, StepRow, merge_steps, read_metrics
from judgerlvr.runs.policy_card import PolicyCard, read_card
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
    manifest: Manifest | None = None
    metrics: list[StepRow] = field(default_factory=list)
    evaluations: list[Measured] = field(default_factory=list)
    rollouts: list[dict[str, Any]] = field(default_factory=list)
    card: PolicyCard | None = None

    @property
    def name(self) -> str:
        return self.manifest.name if self.manifest else self.folder.name

    @property
    def stage(self) -> str | None:
        """``judge``, ``generate``, or None for a folder that only holds an evaluation."""
        return self.manifest.stage if self.manifest else None


def read_run(folder: Path) -> Run:
    """Read a run folder, or the output folder of an evaluation.

    Raises:
        InputError: there is nothing to report in it, or a file in it cannot be read.
    """
    if not folder.is_dir():
        raise InputError("no such run folder", "give folders under runs/", file=folder)
    run = Run(
        folder=folder,
        manifest=read_manifest(folder) if (folder / MANIFEST).is_file() else None,
        metrics=merge_steps(read_metrics(folder / METRICS)),
        evaluations=_evaluations(folder),
        rollouts=_rollouts(folder / "rollouts"),
        card=read_card(folder),
    )
    if not (run.manifest or run.metrics or run.evaluations):
        raise InputError("no manifest.json, metrics.jsonl or eval/ in it", "give a run folder", file=folder)
    return run


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
