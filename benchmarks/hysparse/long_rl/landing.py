"""SFT brought to a wanted accuracy: weights between the last two looks, one below the target and one that reached it.

Accuracy changes by tens of points between two looks. The accuracy of weights between both looks changes without a jump,
so some share of the way has the target.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.hysparse.kernels.case import DEVICE
from benchmarks.hysparse.long_rl.policy import chances_of, heldout_hidden
from benchmarks.hysparse.long_rl.task import HELDOUT, Task, examples
from judgerlvr.hysparse.model.modeling import HySparseForCausalLM

# Seeds of the problems of looks, of the landing, and of the accuracies that are reported.
LOOKS, LANDING, FRESH = HELDOUT, HELDOUT + 1, HELDOUT + 2

State = dict[str, Tensor]


def snapshot(model: HySparseForCausalLM) -> State:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


@torch.no_grad()
def move_between(model: HySparseForCausalLM, below: State, reached: State, share: float) -> None:
    """Weights at ``share`` of the way from ``below`` to ``reached``."""
    for name, value in model.named_parameters():
        value.copy_(torch.lerp(below[name], reached[name], share))


def sampled(model: HySparseForCausalLM, task: Task, seed: int, count: int) -> list[float]:
    """Probability of the right response to each of ``count`` problems, sampled at temperature 1."""
    return chances_of(model, *heldout_hidden(model, task, list(islice(examples(task, seed), count))))[0].tolist()


def measure(folder: Path, task: Task, count: int) -> tuple[Tensor, Tensor]:
    """Of a saved policy on ``count`` fresh problems: chances and greedy hits, as `chances_of`."""
    model = HySparseForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).to(DEVICE)
    fresh = list(islice(examples(task, FRESH), count))
    return chances_of(model, *heldout_hidden(model, task, fresh))


def bracket(accuracy: Callable[[float], float], target: float, halvings: int) -> tuple[float, float]:
    """Shares of the way around the target, by bisection from 0, below the target, and 1, at or above the target."""
    low, high = 0.0, 1.0
    for _ in range(halvings):
        middle = (low + high) / 2
        low, high = (middle, high) if accuracy(middle) < target else (low, middle)
    return low, high


def crossing(accuracy: Callable[[float], float], low: float, high: float, target: float) -> float:
    """Share between ``low`` and ``high`` whose accuracy is the target, by two lines through three points.

    Where both ends lie on one side of the target, the nearer end is taken.
    """
    points = [(low, accuracy(low)), (high, accuracy(high))]
    middle = on_line(points[0], points[1], target)
    points.append((middle, accuracy(middle)))
    points.sort()
    sides = [pair for pair in pairwise(points) if pair[0][1] <= target <= pair[1][1]]
    return on_line(*sides[0], target) if sides else min(points, key=lambda point: abs(point[1] - target))[0]


def on_line(one: tuple[float, float], two: tuple[float, float], target: float) -> float:
    if two[1] == one[1]:
        return one[0]
    share = min(max((target - one[1]) / (two[1] - one[1]), 0.0), 1.0)
    return one[0] + share * (two[0] - one[0])


def land(model: HySparseForCausalLM, task: Task, below: State, target: float, looks: int, problems: int) -> float:
    """Move ``model``, which reached the target, back towards ``below``. Returns the share of the way.

    Two halvings use the problems of the looks, three measures use ``problems`` others.
    """
    reached = snapshot(model)

    def accuracy(seed: int, count: int) -> Callable[[float], float]:
        def at(share: float) -> float:
            move_between(model, below, reached, share)
            chances = sampled(model, task, seed, count)
            print(f"landing: share {share:.4f} accuracy {sum(chances) / count:.4f} of {count}", flush=True)
            return sum(chances) / count

        return at

    low, high = bracket(accuracy(LOOKS, looks), target, 2)
    share = crossing(accuracy(LANDING, problems), max(0.0, low - 0.1), min(1.0, high + 0.1), target)
    move_between(model, below, reached, share)
    return share
