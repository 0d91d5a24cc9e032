"""What the plan of an experiment says of a run: the arm, and the arm whose budget it has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Planned:
    """A run's place in a plan. ``part`` is the run's name in tables and figures.

    ``last`` says that the run ends an arm. ``match`` names the arm whose budget that arm has, counted ``by`` steps,
    tokens or hours.
    """

    part: str
    last: bool = True
    match: str = ""
    by: str = "tokens"


# The plan's word on a run folder, None for a run of no plan.
PlanOf = Callable[[Path], Planned | None]


def no_plan(_: Path) -> Planned | None:
    """Runs of no experiment, which are named by stage and parent."""
    return None
