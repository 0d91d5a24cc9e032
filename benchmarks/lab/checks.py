"""Go / no-go checks: of a base before its cell is trained, and of an arm's curves before the cell enters the map."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.lab.evaluation import CurvePoint, Point
from benchmarks.lab.judge_pool import Pool
from benchmarks.lab.worlds.base import World

LAST = 3  # evaluations at the end of a curve
LEAST_ENTROPY = 0.70  # after judging, as a share of the base's: less may be sharpening alone
SOLVING = {"false_yes": "false yes in solving", "false_no": "false no in solving"}  # of unreliable facts
FEWEST = 0.05  # rechecks a sample below which their agreement is noise
GREEDY_GAINS, COLD_GAINS = "greedy less temperature 1, no rechecks", "temperature 0.5 less temperature 1"


@dataclass(frozen=True)
class Check:
    """A measured value and the closed range in which it must lie."""

    name: str
    value: float
    least: float = float("-inf")
    most: float = float("inf")

    @property
    def passed(self) -> bool:
        return self.least <= self.value <= self.most

    def row(self) -> dict:
        finite = {name: value for name, value in asdict(self).items() if value not in (float("-inf"), float("inf"))}
        return finite | {"passed": self.passed}

    @staticmethod
    def of(row: dict) -> Check:
        """The check of a stored row, in which null stands for a value that is not a number."""
        figures = {name: row[name] for name in ("least", "most") if name in row}
        return Check(row["name"], float("nan") if row.get("value") is None else row["value"], **figures)


def base_checks(points: list[Point], shortcut: float, accuracy: tuple[float, float]) -> list[Check]:
    """Checks of a base from one full point a run. All runs are the same base, so their mean is more exact."""
    mean = mean_point(points)
    facts, firm = learnt(mean) - learnt(mean, "judge_"), mean["reliable_right"] - mean["judge_reliable_right"]
    return [
        Check("operands copied", mean["copied"], least=0.99),
        Check("verdict follows own checks", mean["judge_verdict_follows"], least=0.99),
        Check("well formed", mean["well_formed"], least=0.99),
        Check("judging well formed", mean["judge_well_formed"], least=0.99),
        Check("truncated", mean["truncated"], most=0.01),
        Check("accuracy", mean["accuracy"], *accuracy),
        Check("groups with spread", mean["mixed_groups"], least=0.20),
        Check("premium of rechecking", mean["accuracy"] - mean["none_accuracy"]),
        Check(GREEDY_GAINS, mean["greedy_accuracy"] - mean["none_accuracy"], -0.05, 0.05),
        Check(COLD_GAINS, mean["t0.5_accuracy"] - mean["accuracy"], most=0.05),
        Check("unreliable facts over belief: solving less judging", facts, -0.02, 0.02),
        Check("reliable facts: solving less judging", firm, -0.02, 0.02),
        Check("judge shortcut accuracy", shortcut, most=0.55),
        Check("judge false yes", mean["judge_false_yes"]),
        Check("judge false no", mean["judge_false_no"]),
    ]


def octet_checks(curves: list[list[CurvePoint]], least_entropy: float = LEAST_ENTROPY, edition: int = 1) -> list[Check]:
    """Checks of one arm's curves: a frozen recheck, and after a first stage of judging whether generation is intact.

    Edition 2 is for registrations after instance 8. Its agreement counts answered rechecks only. Its entropy is that
    of the median run, since malformed runs raise the mean.
    """
    agree = agreement if edition == 1 else answers_right
    moved = abs(agree([curve[-LAST:] for curve in curves]) - agree([curve[:1] for curve in curves]))
    checks = [Check("recheck agreement moved", moved, most=0.02)]
    at = end_of_judging(curves[0])
    if at is None:
        return checks
    base, after = mean_point([curve[0] for curve in curves]), mean_point([curve[at] for curve in curves])
    sharpened = after["entropy"] / base["entropy"]
    if edition > 1:
        sharpened = median(curve[at]["entropy"] / curve[0]["entropy"] for curve in curves)
    return [
        *checks,
        Check("after judging: well formed", after["well_formed"], least=0.95),
        Check("after judging: truncated", after["truncated"], most=0.02),
        Check("after judging: entropy of base", sharpened, least=least_entropy),
        Check("after judging: mixed groups", after["mixed_groups"], least=0.20),
        Check("after judging: false yes", after["judge_false_yes"]),
        Check("after judging: false no", after["judge_false_no"]),
        *(Check(f"after judging: {SOLVING[name]}", after[name]) for name in SOLVING if name in after),
        Check("after judging: premium of rechecking", after["every_accuracy"] - after["none_accuracy"]),
        Check("transfer of facts", transfer(base, after)),
    ]


def agreement(curves: list[list[CurvePoint]]) -> float:
    """Share of rechecks that agree with the truth. Not a number below ``FEWEST`` rechecks a sample.

    A world in which the policy itself rechecks has no such share, since its rechecks are not frozen.
    """
    points = [point for curve in curves for point in curve]
    known = [(p["rechecks"], p["recheck_agrees"]) for p in points if p.get("recheck_agrees") is not None]
    asked = sum(count for count, _ in known)
    return sum(count * share for count, share in known) / asked if asked > FEWEST * len(known) else float("nan")


def answers_right(curves: list[list[CurvePoint]]) -> float:
    """Share of the world's answers that are right. Not a number below ``FEWEST`` answers a sample of all points.

    Nor in a world that never answers.
    """
    points = [point for curve in curves for point in curve if {"answered", "answers_right"} <= point.keys()]
    answered = sum(point["answered"] for point in points)
    right: float = sum(point["answers_right"] for point in points)
    return right / answered if answered > FEWEST * len(points) else float("nan")


def end_of_judging(curve: list[CurvePoint]) -> int | None:
    """Index of the point at which the first stages, all of judging, hand over to a stage of generating."""
    stages = [point["stage"].partition("-") for point in curve]
    for index, ((number, _, kind), (after, _, following)) in enumerate(pairwise(stages)):
        if kind == "generate":
            return None
        if kind.startswith("judge") and following == "generate" and after != number:
            return index
    return None


def mean_point(points: list[CurvePoint]) -> Point:
    """Mean of each number over runs. A figure that one run lacks is not a number."""
    numbers = [name for name, value in points[0].items() if not isinstance(value, str)]
    values = {name: [point.get(name) for point in points] for name in numbers}
    return {n: float("nan") if None in value else sum(value) / len(value) for n, value in values.items()}


def transfer(base: Point, after: Point) -> float:
    """Gain of unreliable facts in solving over their gain in judging. Not a number where judging gained nothing."""
    judged = learnt(after, "judge_") - learnt(base, "judge_")
    return (learnt(after) - learnt(base)) / judged if abs(judged) > 0.005 else float("nan")


def figure(point: Point, name: str) -> float:
    """A figure of a stored point. Not a number where nothing was counted, or where an older record lacks the figure."""
    value = point.get(name)
    return float("nan") if value is None else value


def learnt(point: Point, mode: str = "") -> float:
    """Share of unreliable facts written right, less the share that the base's beliefs give for the same facts.

    The facts met in the two modes differ: judge candidates come from problems that the base solves sometimes.
    """
    right, belief = (figure(point, f"{mode}unreliable_{name}") for name in ("right", "belief"))
    return right - belief


def shortcut_accuracy(world: World, pool: Pool, rows: int = 4096, steps: int = 300) -> float:
    """Balanced accuracy, on unseen problems, of a small classifier that sees features without knowledge of facts."""
    problems, candidates, labels = pool.pairs(rows)
    features = world.shortcut_features(problems, candidates)
    features = (features - features.mean(0)) / (features.std(0) + 1e-6)
    half = len(labels) // 4 * 2
    with torch.enable_grad():
        model = _fit(features[:half], labels[:half].float(), steps)
    with torch.no_grad():
        said = model(features[half:])[:, 0] > 0
    truth = labels[half:]
    return float((said[truth].float().mean() + (~said[~truth]).float().mean()) / 2)


def _fit(features: Tensor, labels: Tensor, steps: int) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = (torch.nn.Linear(features.shape[1], 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
        model = torch.nn.Sequential(*layers).to(features.device)
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=0.1)
    for _ in range(steps):
        optimiser.zero_grad()
        F.binary_cross_entropy_with_logits(model(features)[:, 0], labels).backward()
        optimiser.step()
    return model
