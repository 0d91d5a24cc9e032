"""The data card of a judge set: what was kept at each step, and how far a shortcut would get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from data.labelling import Triplet


@dataclass(frozen=True)
class Card:
    """Counts in the order of the pipeline, agreement with given labels, lengths by class, baselines, settings."""

    counts: Mapping[str, int]
    dropped: Mapping[str, int]
    label_agreement: float | None
    disagreements: list[str]
    mean_characters: Mapping[str, float]
    baselines: Mapping[str, float]
    settings: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def to_markdown(self) -> str:
        agreement = "no labels given" if self.label_agreement is None else f"{self.label_agreement:.4f}"
        parts = [
            "# Judge set",
            _table("step", "count", self.counts),
            _table("set aside because", "count", self.dropped),
            f"Given labels that the verifier confirms: {agreement}. Denied: {', '.join(self.disagreements) or 'none'}.",
            _table("class", "mean characters", {k: f"{v:.1f}" for k, v in self.mean_characters.items()}),
            _table("baseline without judging", "balanced accuracy", {k: f"{v:.3f}" for k, v in self.baselines.items()}),
            _table("setting", "value", self.settings),
        ]
        return "\n\n".join(parts) + "\n"


def _table(left: str, right: str, rows: Mapping[str, Any]) -> str:
    lines = [f"| {left} | {right} |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in rows.items())]
    return "\n".join(lines)


def mean_characters(triplets: list[Triplet]) -> dict[str, float]:
    """Mean length of what the judge is shown, by class."""
    classes = {"right": True, "wrong": False}
    lengths = {name: [len(t.response) for t in triplets if t.label is label] for name, label in classes.items()}
    return {name: fmean(values) for name, values in lengths.items() if values}
