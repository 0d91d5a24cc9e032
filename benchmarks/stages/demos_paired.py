"""Demos of two commits, policy by policy: differences paired by problem within a seed, and then over the seeds.

    python -m benchmarks.stages.demos_paired --before DEMO_DIR ... --after DEMO_DIR ...

The demos of both commits stand in the order of their seeds. Problems are matched by their prompt, since ids of older
commits differ. Intervals of 95 % by Student's t: over the problems of each seed, over those of all seeds, and over the
means of the seeds. Only the last holds the spread between trainings.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.lab.statistics import Estimate, estimate
from benchmarks.stages.learning import ARMS

FIGURES = {"accuracy, points": ("score", 100.0), "tokens": ("tokens", 1.0)}
Means = dict[str, float]  # of each problem, by its prompt


def means(folder: Path, field: str, scale: float) -> Means:
    """Mean over the samples at temperature 1 of each problem that was solved."""
    found: dict[str, list[float]] = defaultdict(list)
    with (folder / "samples.jsonl").open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if row["kind"] == "generate" and row["decoding"] == "T=1":
                found[row["prompt"]].append(scale * row[field])
    return {prompt: float(np.mean(values)) for prompt, values in found.items()}


def differences(before: Means, after: Means) -> list[float]:
    """After less before, problem by problem.

    Raises:
        ValueError: the two hold other problems.
    """
    if before.keys() != after.keys():
        raise ValueError(f"{len(before.keys() ^ after.keys())} problems are in one evaluation alone")
    return [after[prompt] - before[prompt] for prompt in before]


def table(before: Sequence[Path], after: Sequence[Path]) -> list[str]:
    """A line for each policy and figure: the differences seed by seed, and over the seeds."""
    heads = ["policy", "figure", "before", *(demo.name for demo in after), "all problems", "over seeds"]
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for arm, pattern in ARMS.items():
        for name, (field, scale) in FIGURES.items():
            old = [means(_folder(demo, pattern), field, scale) for demo in before]
            new = [means(_folder(demo, pattern), field, scale) for demo in after]
            seeds = [differences(one, two) for one, two in zip(old, new, strict=True)]
            level = float(np.mean([np.mean(list(one.values())) for one in old]))
            columns = [*seeds, [value for seed in seeds for value in seed], [float(np.mean(seed)) for seed in seeds]]
            cells = [shown(estimate(values)) for values in columns]
            lines.append(f"| {arm} | {name} | {level:.1f} | {' | '.join(cells)} |")
    return lines


def shown(found: Estimate) -> str:
    if math.isinf(found.low):
        return f"{found.mean:+.1f}"
    return f"{found.mean:+.1f} [{found.low:+.1f}, {found.high:+.1f}]"


def _folder(demo: Path, pattern: str) -> Path:
    (found,) = demo.glob(pattern)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages.demos_paired", description=__doc__)
    for name in ("before", "after"):
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True, help="folders of demos by seed")
    options = parser.parse_args(arguments)
    print("\n".join(table(options.before, options.after)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
