"""Win, tie or loss from decided cases around a model, and the reasons for which nothing is predicted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from judgerlvr.diagnosis.cases import DECIDED, UNITS, Case, Outcome
from judgerlvr.diagnosis.hull import hull_distance
from judgerlvr.diagnosis.measures import Measures
from judgerlvr.evaluation.intervals import Estimate

NO_PREDICTION = "no prediction"
GROUP = 16  # samples of a group whose mixed outcome is an input
NEAR = 1.0  # distance to the hull, in units of the inputs, within which a model counts as inside
COARSE = 3.0  # half width in units over which an input is measured too coarsely

Chances = dict[Outcome, float]


@dataclass(frozen=True)
class Prediction:
    """``outcome`` and ``chances`` are None where ``reasons`` say why nothing is predicted.

    ``nearest`` are all cases with their distances, nearest first. A distance is None where an input is not measured.
    """

    outcome: Outcome | None
    chances: Chances | None
    reasons: tuple[str, ...]
    nearest: tuple[tuple[Case, float | None], ...]


def inputs_of(measures: Measures) -> dict[str, Estimate]:
    """The inputs that could be measured, by the names of ``UNITS``."""
    solving, judging = measures.solving, measures.judging
    tokens = solving.tokens["all"]
    found: dict[str, Estimate | None] = {
        "pass@1": solving.pass_at_1,
        "mixed groups of 16": solving.mixed.get(GROUP),
        "greedy less sampled": solving.greedy_gain,
        "judge balanced accuracy": judging.balanced_accuracy if judging else None,
        "judge false yes": judging.false_yes if judging else None,
        "log2 of tokens": Estimate(*(math.log2(v) for v in (tokens.value, tokens.low, tokens.high)))
        if tokens.low > 0
        else None,
    }
    return {name: value for name, value in found.items() if value is not None and not math.isnan(value.value)}


def predict(inputs: Mapping[str, Estimate], cases: Sequence[Case], untrusted: str | None = None) -> Prediction:
    """The likeliest outcome inside the hull of the decided cases, else the reasons for none.

    ``untrusted`` is a reason against every prediction from these cases.
    """
    values = {name: estimate.value for name, estimate in inputs.items()}
    reasons = [*([untrusted] if untrusted else []), *reasons_against(inputs, cases)]
    nearest = tuple(sorted(((case, distance(values, case)) for case in cases), key=lambda pair: pair[1] or 0.0))
    if reasons:
        return Prediction(None, None, tuple(reasons), nearest)
    chances = chances_at(values, decided(cases))
    return Prediction(likeliest(chances), chances, (), nearest)


def reasons_against(inputs: Mapping[str, Estimate], cases: Sequence[Case]) -> list[str]:
    """Why nothing can be predicted. Empty inside the hull."""
    known = decided(cases)
    reasons = list(untold(cases))
    if absent := [name for name in UNITS if name not in inputs]:
        return [*reasons, f"not measured: {', '.join(absent)}"]
    coarse = [name for name, unit in UNITS.items() if inputs[name].high - inputs[name].low > 2 * COARSE * unit]
    if coarse:
        reasons.append(f"measured too coarsely: {', '.join(coarse)}")
    values = {name: estimate.value for name, estimate in inputs.items()}
    # Without decided cases the hull of all cases still says how far the model is from what was measured.
    about = known or list(cases)
    if not about:
        return reasons
    away = outside(values, about)
    if away > NEAR:
        ranges = {name: [case.inputs[name] for case in about] for name in UNITS}
        beyond = [
            f"{name} {values[name]:.2f} (cases {min(seen):.2f} to {max(seen):.2f})"
            for name, seen in ranges.items()
            if not min(seen) - UNITS[name] <= values[name] <= max(seen) + UNITS[name]
        ]
        where = f": {', '.join(beyond)}" if beyond else ", though each input alone is in its range"
        reasons.append(f"outside the hull of the measured inputs{where}")
    return reasons


def untold(cases: Sequence[Case]) -> Iterator[str]:
    """Why the cases tell nothing apart: no outcome is decided, or a single one, which every model would then get."""
    kinds = {case.outcome for case in decided(cases)}
    if not kinds:
        yield f"none of the {len(cases)} measured cases is decided"
    elif len(kinds) == 1:
        yield f"every decided case of the {len(cases)} measured ones is a {kinds.pop()}"


def decided(cases: Sequence[Case]) -> list[Case]:
    return [case for case in cases if case.outcome in DECIDED]


def vector(values: Mapping[str, float]) -> NDArray[np.float64]:
    """The inputs [d] in their units."""
    return np.array([values[name] / unit for name, unit in UNITS.items()])


def outside(values: Mapping[str, float], cases: Sequence[Case]) -> float:
    """Distance to the hull of the cases, in units."""
    points = np.array([vector(case.inputs) for case in cases]).reshape(len(cases), len(UNITS))
    return hull_distance(points, vector(values))


def distance(values: Mapping[str, float], case: Case) -> float | None:
    """Distance to a case in units. None where an input is absent."""
    if any(name not in values for name in UNITS):
        return None
    return float(np.linalg.norm(vector(values) - vector(case.inputs)))


def weight(values: Mapping[str, float], case: Case) -> float:
    """Of a case in a prediction: 1 / (1 + d^2) at the distance d in units."""
    return 1 / (1 + (distance(values, case) or 0.0) ** 2)


def constant_chances(cases: Sequence[Case]) -> Chances:
    """Smoothed shares of the outcomes, with one case more of each. The likeliest is the majority answer."""
    counts = Counter(case.outcome for case in cases)
    return {outcome: (counts[outcome] + 1) / (len(cases) + len(DECIDED)) for outcome in DECIDED}


def chances_at(values: Mapping[str, float], cases: Sequence[Case]) -> Chances:
    """The constant chances with the weight of a case at distance 0, and each case with its weight."""
    weights = [(case.outcome, weight(values, case)) for case in cases]
    total = 1 + sum(weight for _, weight in weights)
    constant = constant_chances(cases)
    return {
        outcome: (constant[outcome] + sum(w for found, w in weights if found is outcome)) / total for outcome in DECIDED
    }


def likeliest(chances: Chances) -> Outcome:
    """Of two equally likely outcomes the first in the order of ``DECIDED``."""
    return max(DECIDED, key=lambda outcome: chances[outcome])
