"""Evaluations as the report sees them: the entries of ``summary.json`` with types, and the graded samples."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from judgerlvr.evaluation.metrics import Confusion, Estimate
from judgerlvr.evaluation.outputs import SAMPLES, SUMMARY
from judgerlvr.evaluation.records import Record, read_records
from judgerlvr.sampling.decoding import Decoding
from rewards.errors import reading

Kind = Literal["generate", "judge"]


@dataclass(frozen=True)
class Length:
    """Tokens of some responses. ``mean`` is None where there are no responses."""

    count: int
    mean: Estimate | None
    median: float | None


@dataclass(frozen=True)
class Judging:
    """Numbers of a judge row. ``checking`` is the share of traces that do some work before the verdict."""

    balanced_accuracy: Estimate
    precision: Estimate
    recall: Estimate
    confusion: Confusion
    checking: float
    checking_balanced_accuracy: Estimate


@dataclass(frozen=True)
class Caps:
    """Accuracy if responses longer than a cap counted as wrong, and the area under that curve."""

    caps: list[int]
    accuracy: list[float]
    area: float


@dataclass(frozen=True)
class Result:
    """One entry of an evaluation: a set, a kind and a decoding. Lengths are absent for stored responses."""

    set: str
    kind: Kind
    decoding: Decoding
    problems: int
    samples: int
    accuracy: Estimate
    reasons: dict[str, int]
    truncated: int
    entropy: float | None
    tokens: dict[str, Length]
    thinking: dict[str, Length]
    solution: dict[str, Length]
    caps: Caps | None
    words: dict[str, float]
    judging: Judging | None

    @property
    def set_name(self) -> str:
        return Path(self.set).stem


@dataclass(frozen=True)
class Measured:
    """One evaluation: its label, what was evaluated, the settings, the entries and the samples."""

    label: str
    model_hash: str | None = None
    generated_tokens: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    data: list[dict[str, Any]] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    samples: list[Record] = field(default_factory=list)

    def rows(self, kind: Kind, greedy: bool) -> list[Result]:
        """All entries of this kind, one a set."""
        return [row for row in self.results if row.kind == kind and row.decoding.greedy == greedy]

    def row(self, kind: Kind, greedy: bool = False) -> Result | None:
        """The entry of the first set, None if the kind was not run."""
        return next(iter(self.rows(kind, greedy)), None)


def read_evaluations(folder: Path) -> list[Measured]:
    """The evaluation in the folder, then the evaluations under ``eval``, by name.

    Raises:
        InputError: a file is damaged.
    """
    places = [folder, *sorted(path for path in (folder / "eval").glob("*") if path.is_dir())]
    return [read_evaluation(place) for place in places if (place / SUMMARY).is_file()]


def read_evaluation(folder: Path, with_samples: bool = True) -> Measured:
    """One output folder of ``judgerlvr.evaluate``. Raises InputError for a damaged file."""
    path, samples = folder / SUMMARY, folder / SAMPLES
    with reading("not a summary of an evaluation", "evaluate anew, or remove the folder", file=path):
        summary = json.loads(path.read_text(encoding="utf-8"))
        return Measured(
            label=folder.name,
            model_hash=(summary.get("model") or {}).get("hash"),
            generated_tokens=summary.get("generated_tokens", 0),
            settings=summary.get("settings", {}),
            data=summary.get("data", []),
            results=[_result(row) for row in summary["results"]],
            samples=read_records(samples) if with_samples and samples.is_file() else [],
        )


def _result(row: Mapping[str, Any]) -> Result:
    caps, judging = row.get("at_caps"), row.get("judge")
    return Result(
        **{name: row[name] for name in ("set", "kind", "problems", "samples", "reasons", "truncated", "entropy")},
        decoding=Decoding(**{name: value for name, value in row["decoding"].items() if name != "name"}),
        accuracy=_estimate(row["accuracy"]),
        tokens=_lengths(row.get("tokens")),
        thinking=_lengths(row.get("thinking_tokens")),
        solution=_lengths(row.get("solution_tokens")),
        caps=Caps(**caps) if caps else None,
        words=row.get("transition_words_per_1000_tokens") or {},
        judging=_judging(judging) if judging else None,
    )


def _estimate(values: Mapping[str, float | None]) -> Estimate:
    """JSON holds null where a number is nan."""
    return Estimate(**{name: math.nan if value is None else value for name, value in values.items()})


def _lengths(values: Mapping[str, Any] | None) -> dict[str, Length]:
    return {name: _length(value) for name, value in (values or {}).items()}


def _length(value: Mapping[str, Any]) -> Length:
    mean = value["mean"]
    return Length(value["count"], None if mean is None else _estimate(mean), value["median"])


def _judging(values: Mapping[str, Any]) -> Judging:
    return Judging(
        **{name: _estimate(values[name]) for name in ("balanced_accuracy", "precision", "recall")},
        confusion=Confusion(**values["confusion"]),
        checking=values["checking"]["share"],
        checking_balanced_accuracy=_estimate(values["checking"]["balanced_accuracy"]),
    )
