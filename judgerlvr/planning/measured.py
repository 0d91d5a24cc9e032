"""What ``python -m judgerlvr.measure`` found, as a file, and how the planner uses it for other shapes.

The file holds seconds of a step by phase with the shape, load and tokens of that step. A plan multiplies its own
seconds by measured over predicted, so that the constants decide only how shapes compare.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from judgerlvr.config.choices import Recompute
from judgerlvr.planning.load import Load
from judgerlvr.planning.machine import Machine
from judgerlvr.planning.shapes import ModelShape, shape_of
from judgerlvr.planning.speed import PHASES, Tokens, step_seconds
from rewards.errors import InputError

CPU = "cpu"


@dataclass(frozen=True)
class Measured:
    """A measured step. ``card`` is a key of the planner's cards, or cpu; ``condition`` says what ran, for people.

    ``model`` holds the fields of the policy's config.json. ``trainer_gib`` is the trainer's peak on a card.
    """

    card: str
    condition: dict[str, Any]
    model: dict[str, Any]
    load: Load
    machine: Machine
    tokens: Tokens
    seconds: dict[str, float]
    trainer_gib: float

    @property
    def shape(self) -> ModelShape:
        return shape_of(self.model)

    def us_per_token(self) -> dict[str, float]:
        """Microseconds of a card for each token sampled (sampling) or passed (the trainer's phases)."""
        samples = self.load.samples / self.load.ranks
        sampled, passed = samples * self.tokens.response, samples * self.tokens.sequence
        return {
            phase: self.seconds[phase] * 1e6 / (sampled if phase == "sampling" else passed) for phase in self.seconds
        }

    def factors(self) -> dict[str, float]:
        """Measured over predicted seconds of each phase, at the shape that was measured."""
        predicted = step_seconds(self.shape, self.load, self.machine, self.tokens)
        return {phase: self.seconds[phase] / predicted[phase] for phase in PHASES}


def write_measured(measured: Measured, path: Path) -> None:
    """Write the file, with microseconds a token for the reader."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(measured) | {"us_per_token": measured.us_per_token()}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")


def read_measured(path: Path) -> Measured:
    """The file's contents.

    Raises:
        InputError: no such file, or another file than ``write_measured`` writes.
    """
    if not path.is_file():
        raise InputError(
            "no such file", "make it with python -m judgerlvr.measure", file=path, field="planning.measured"
        )
    try:
        return _measured(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        remedy = "make it with python -m judgerlvr.measure"
        raise InputError(f"not a file of measured speeds ({error})", remedy, file=path) from error


def _measured(fields: Mapping[str, Any]) -> Measured:
    parts = {"load": Load, "machine": Machine, "tokens": Tokens}
    values: dict[str, Any] = {name: kind(**fields[name]) for name, kind in parts.items()}
    # JSON has turned the enumeration into text.
    values["load"] = replace(values["load"], recompute=Recompute(values["load"].recompute))
    others = ("card", "condition", "model", "seconds", "trainer_gib")
    return Measured(**values, **{name: fields[name] for name in others})


def seconds_by_token(measured: Measured, load: Load, tokens: Tokens) -> dict[str, float]:
    """Seconds of a step from microseconds a token alone, for machines that the constants say nothing of."""
    samples = load.samples / load.ranks
    return {
        phase: value * samples * (tokens.response if phase == "sampling" else tokens.sequence) / 1e6
        for phase, value in measured.us_per_token().items()
    }


def measured_for(card: str, path: str) -> Measured:
    """The file at ``path``, of ``card``.

    Raises:
        InputError: an unreadable file, or speeds of another card than the plan's.
    """
    measured = read_measured(Path(path))
    if measured.card != card:
        problem = f"speeds of a {measured.card}, where the plan is for a {card}"
        raise InputError(problem, "measure on that card, or set planning.card", file=path)
    return measured


def factors_for(card: str, path: str) -> dict[str, float]:
    """Factors of the file that ``planning.measured`` names, none where no file is named. Raises as ``measured_for``."""
    return measured_for(card, path).factors() if path else {}
