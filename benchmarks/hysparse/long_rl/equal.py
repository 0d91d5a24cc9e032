"""Both policies beside each other on the same fresh problems, before RL and after."""

from __future__ import annotations

import argparse
import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.hysparse.long_rl.landing import measure
from benchmarks.hysparse.long_rl.options import rl_task

NORMAL = 1.96  # half width of an interval of 95 %, in standard errors
EQUAL = 0.02  # largest difference of policies that start equal
MARGIN = 0.05  # largest difference of policies that end equal, interval included
AFTER = "after.json"


@dataclass(frozen=True)
class Difference:
    """Mean over problems of one list of chances less another, with the half width of its interval."""

    mean: float
    half: float

    def __str__(self) -> str:
        return f"{self.mean:+.3f} ± {self.half:.3f}"


def paired(one: Sequence[float], two: Sequence[float]) -> Difference:
    gaps = np.subtract(one, two)
    return Difference(float(gaps.mean()), NORMAL * float(gaps.std(ddof=1)) / math.sqrt(len(gaps)))


def publish(options: argparse.Namespace) -> None:
    """Copy the trained policies to OUT/policies, from where stage 2 takes them."""
    for name in options.order:
        target = options.out / "policies" / name
        if not target.is_dir():
            shutil.copytree(options.out / "sft" / name / "policy", target)


def measure_after(options: argparse.Namespace) -> None:
    """Write OUT/after.json: chances of each policy that RL has exported, on the fresh problems."""
    found = chances_after(options.out)
    for name in options.order:
        folder = options.out / "trained" / name
        if name not in found and (folder / "config.json").is_file():
            found[name] = measure(folder, rl_task(options), options.fresh)[0].tolist()
            (options.out / AFTER).write_text(json.dumps(found) + "\n")


def chances_after(out: Path) -> dict[str, list[float]]:
    return json.loads((out / AFTER).read_text()) if (out / AFTER).is_file() else {}


def chances_before(out: Path, names: Sequence[str]) -> dict[str, list[float]]:
    paths = {name: out / "sft" / name / "sft.json" for name in names}
    return {name: json.loads(path.read_text())["chances"] for name, path in paths.items() if path.is_file()}


def verdict(before: dict[str, list[float]], after: dict[str, list[float]]) -> tuple[bool, str]:
    """Whether reward over wall-clock time may be compared, and why.

    Both policies start equal, both gain by RL, and both end equal. All are judged on the same fresh problems.
    """
    if len(before) < 2:
        return False, "a policy was not trained: there is no comparison"
    names, words = list(before), []
    start = paired(before[names[0]], before[names[1]])
    words.append(f"before RL {' less '.join(names)} is {start}")
    if any(name not in after for name in names):
        return False, "; ".join([*words, "a stage did not end: the figure is tokens per second alone"])
    gains = {name: paired(after[name], before[name]) for name in names}
    words += [f"{name} gains {gain}" for name, gain in gains.items()]
    end = paired(after[names[0]], after[names[1]])
    words.append(f"after RL {' less '.join(names)} is {end}")
    moved = all(gain.mean - gain.half > 0 for gain in gains.values())
    equal = abs(start.mean) <= EQUAL and abs(end.mean) + end.half <= MARGIN
    if moved and equal:
        return True, "; ".join([*words, "reward over wall-clock time is a figure"])
    return False, "; ".join([*words, "the figure is tokens per second alone"])
