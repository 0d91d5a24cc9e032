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
    rows = []  # family, loss, loss of the constant answer
    for case in known:
        others = [other for other in known if other.family != case.family]
        if others and outside(case.inputs, others) <= NEAR:
            chances, constant = chances_at(case.inputs, others), constant_chances(others)
            rows.append((case.family, -math.log(chances[case.outcome]), -math.log(constant[case.outcome])))
    families = list(dict.fromkeys(family for family, _, _ in rows))
    sums = np.array(
        [[sum(a - b for f, a, b in rows if f == family), sum(f == family for f, _, _ in rows)] for family in families],
        dtype=np.float64,
    ).reshape(len(families), 2)
    return Score(
        cases=len(known),
        predicted=len(rows),
        families=len(families),
        loss=float(np.mean([row[1] for row in rows])) if rows else math.nan,
        constant_loss=float(np.mean([row[2] for row in rows])) if rows else math.nan,
        difference=bootstrap(sums, ratio),
    )
