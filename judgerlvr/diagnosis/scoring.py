"""How good predictions are: log loss on each family from the cases of the other families, against a constant answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.balanced_accuracy import ratio
from judgerlvr.diagnosis.cases import Case
from judgerlvr.diagnosis.prediction import NEAR, chances_at, constant_chances, decided, outside
from judgerlvr.evaluation.intervals import Estimate, bootstrap
from rewards.wording import counted


@dataclass(frozen=True)
class Score:
    """Mean log loss in nats over the ``predicted`` of ``cases`` decided cases.

    ``difference`` is the loss less the constant's, below 0 where the prediction is better. The interval is a bootstrap
    over families.
    """

    cases: int
    predicted: int
    families: int
    loss: float
    constant_loss: float
    difference: Estimate


def why_not_scored(cases: Sequence[Case]) -> str | None:
    """Why a score would say nothing, None where at least two families hold different outcomes each."""
    known = decided(cases)
    outcomes: dict[str, set[str]] = {}
    for case in known:
        outcomes.setdefault(case.family, set()).add(case.outcome)
    if sum(len(found) > 1 for found in outcomes.values()) >= 2:
        return None
    families, verb = len({case.family for case in cases}), "is" if len(known) == 1 else "are"
    return (
        f"{len(known)} of {counted(len(cases), 'case')} in {families} families {verb} decided, "
        "and a score needs at least two families with different outcomes in each"
    )


def why_not_trusted(cases: Sequence[Case]) -> str | None:
    """Why predictions from these cases are withheld: not scored, or no better than the constant answer."""
    if unscored := why_not_scored(cases):
        return f"predictions are not scored: {unscored}"
    scored = score(cases)
    if scored.families < 2:
        return f"predictions are not scored: {scored.families} of the families lie near cases of another family"
    found = scored.difference
    if found.high < 0:
        return None
    return f"scored predictions are no better than a constant answer: {found.value:+.2f} nats, up to {found.high:+.2f}"


def score(cases: Sequence[Case]) -> Score:
    """Each family predicted from the decided cases of the others, inside the hull of the others alone."""
    known = decided(cases)
    rows = []
    for case in known:
        others = [other for other in known if other.family != case.family]
        if others and outside(case.inputs, others) <= NEAR:
            chances, constant = chances_at(case.inputs, others), constant_chances(others)
            rows.append(Losses(case.family, -math.log(chances[case.outcome]), -math.log(constant[case.outcome])))
    return over_families(len(known), rows)


@dataclass(frozen=True)
class Losses:
    """Log loss of one predicted case in nats, and that of the constant answer."""

    family: str
    loss: float
    constant: float


def over_families(cases: int, rows: Sequence[Losses]) -> Score:
    """The score of the predicted rows among ``cases`` decided ones. A family is resampled with all of its rows."""
    families = list(dict.fromkeys(row.family for row in rows))
    groups = [[row.loss - row.constant for row in rows if row.family == family] for family in families]
    sums = np.array([[sum(group), len(group)] for group in groups], dtype=np.float64).reshape(len(families), 2)
    return Score(
        cases=cases,
        predicted=len(rows),
        families=len(families),
        loss=float(np.mean([row.loss for row in rows])) if rows else math.nan,
        constant_loss=float(np.mean([row.constant for row in rows])) if rows else math.nan,
        difference=bootstrap(sums, ratio),
    )
