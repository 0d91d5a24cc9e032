"""From curves to pairs: an arm at its best rate against vanilla at its best rate, seed by seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.lab.evaluation import TEMPERATURES, CurvePoint

LAST = 3  # evaluations whose mean is an end point


@dataclass(frozen=True)
class View:
    """Which figures of a point are compared: free sampling, greedy, or sampling at an entropy."""

    name: str
    accuracy: str = "accuracy"
    tokens: str = "tokens"


FREE = View("temperature 1")
GREEDY = View("greedy", "greedy_accuracy", "greedy_tokens")

Curve = list[CurvePoint]
Octets = dict[str, dict]  # arm name -> content of its file


def end(curve: Curve, name: str) -> float:
    return float(np.mean([point[name] for point in curve[-LAST:]]))


def best_rate(octet: dict) -> float:
    """The rate with the highest mean end accuracy. Each arm has tried the same rates."""
    rates = sorted({run["rate"] for run in octet["runs"]})
    return max(rates, key=lambda rate: np.mean([end(run["curve"], "accuracy") for run in at_rate(octet, rate)]))


def at_rate(octet: dict, rate: float) -> list[dict]:
    return sorted((run for run in octet["runs"] if run["rate"] == rate), key=lambda run: run["seed"])


def paired_curves(arm: dict, vanilla: dict) -> list[tuple[Curve, Curve]]:
    """(arm, vanilla) curves of each seed that both have, each at its arm's best rate."""
    theirs = {run["seed"]: run["curve"] for run in at_rate(vanilla, best_rate(vanilla))}
    mine = at_rate(arm, best_rate(arm))
    return [(run["curve"], theirs[run["seed"]]) for run in mine if run["seed"] in theirs]


def accuracy_difference(arm: Curve, vanilla: Curve, view: View = FREE) -> float:
    """Arm less vanilla at equal steps, both means of the last three evaluations."""
    return end(arm, view.accuracy) - end(vanilla, view.accuracy)


def shortening(arm: Curve, vanilla: Curve, view: View = FREE) -> float:
    """Log of vanilla's tokens over the arm's where both are as accurate as the weaker one is at its end."""
    level = min(end(arm, view.accuracy), end(vanilla, view.accuracy))
    return math.log(tokens_at(vanilla, level, view) / tokens_at(arm, level, view))


def tokens_at(curve: Curve, level: float, view: View = FREE) -> float:
    """Tokens where the curve last rises through ``level``. The end's tokens where the end is not above the level."""
    if end(curve, view.accuracy) <= level:
        return end(curve, view.tokens)
    below = [
        index
        for index, point in enumerate(curve[:-1])
        if point[view.accuracy] < level <= curve[index + 1][view.accuracy]
    ]
    if not below:
        return float(curve[0][view.tokens])
    before, after = curve[below[-1]], curve[below[-1] + 1]
    share = (level - before[view.accuracy]) / (after[view.accuracy] - before[view.accuracy])
    return float(before[view.tokens] + share * (after[view.tokens] - before[view.tokens]))


def matched_entropy(arm: Curve, vanilla: Curve) -> tuple[float, float]:
    """(accuracy difference, log of vanilla's tokens over the arm's) at the mean of the two end entropies."""
    target = (end(arm, "entropy") + end(vanilla, "entropy")) / 2
    mine, theirs = at_entropy(arm, target), at_entropy(vanilla, target)
    return mine[0] - theirs[0], math.log(theirs[1] / mine[1])


def at_entropy(curve: Curve, target: float) -> tuple[float, float]:
    """(accuracy, tokens) of the end, interpolated over the temperatures sampled. Clamped outside of their entropies."""
    prefixes = ["", *(f"t{temperature}_" for temperature in TEMPERATURES)]
    points = sorted(
        tuple(end(curve, prefix + name) for name in ("entropy", "accuracy", "tokens")) for prefix in prefixes
    )
    entropies, accuracies, tokens = (np.array(column) for column in zip(*points, strict=True))
    return float(np.interp(target, entropies, accuracies)), float(np.interp(target, entropies, tokens))


def penalty_front(octets: Octets) -> list[tuple[float, float]]:
    """Mean (accuracy, tokens) of vanilla and of each penalty arm, at every rate tried."""
    names = [name for name in octets if name == "vanilla" or name.startswith("penalty")]
    return [mean_end(at_rate(octets[n], rate)) for n in names for rate in {run["rate"] for run in octets[n]["runs"]}]


def mean_end(runs: Sequence[dict]) -> tuple[float, float]:
    ends = [(end(run["curve"], "accuracy"), end(run["curve"], "tokens")) for run in runs]
    accuracy, tokens = np.mean(ends, 0)
    return float(accuracy), float(tokens)
