"""Coverage and width of the intervals of an evaluation, by simulation.

    python -m benchmarks.interval_coverage [--draws 4000] [--samples 8] [--seed 0] [--correlations 0.67 0.09]
        [--coupled 0 0.9]

Each draw is an evaluation of fresh problems. The chance of a right sample is beta distributed over the problems, with a
given mean (the accuracy) and a given intraclass correlation (the spread of difficulty). A pair of arms has the same
problems: a share of the problems has the same rank of difficulty in both arms, and the others are independent.
Width is compared with the width of the percentile bootstrap on the same draws. Where every sample is right, the
bootstrap has no width. The mean of the ratios leaves such a cell out.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from judgerlvr.evaluation.intervals import Estimate, Shares, bootstrap, difference_interval, share_interval

Floats = NDArray[np.float64]

PROBLEMS = (15, 30, 200)
ACCURACIES = (0.5, 0.9, 0.97, 1.0)
CORRELATIONS = (0.67, 0.09)  # within problems: a wide and a narrow spread of difficulty
GAPS = (0.0, 0.1)
COUPLED = (0.0, 0.9)
BOOTSTRAPPED = 100  # draws on which the width of the bootstrap is measured
GRID = 100_000  # points of the quantile function of a beta distribution


@dataclass(frozen=True)
class Cell:
    """One setting. ``gap`` is None for a single arm, else the second arm is less accurate by the gap."""

    problems: int
    accuracy: float
    correlation: float
    gap: float | None = None
    coupled: float = 0.0


@dataclass(frozen=True)
class Found:
    """Share of intervals that hold the truth, mean width, and the mean width of the percentile bootstrap."""

    cell: Cell
    coverage: float
    width: float
    bootstrap: float


def single_cells(correlations: Sequence[float] = CORRELATIONS) -> list[Cell]:
    return [Cell(*values) for values in itertools.product(PROBLEMS, ACCURACIES, correlations)]


def paired_cells(correlations: Sequence[float] = CORRELATIONS, coupled: Sequence[float] = COUPLED) -> list[Cell]:
    return [Cell(*values) for values in itertools.product(PROBLEMS, ACCURACIES, correlations, GAPS, coupled)]


def chances(accuracy: float, correlation: float, rng: np.random.Generator) -> Callable[[Floats], Floats]:
    """The chance of a right sample as a function of the rank of a problem, from 0 to 1."""
    if accuracy == 1:
        return np.ones_like
    if correlation == 1:
        return lambda ranks: (ranks >= 1 - accuracy).astype(np.float64)
    total = 1 / correlation - 1
    grid = np.sort(rng.beta(accuracy * total, (1 - accuracy) * total, GRID))
    return lambda ranks: grid[(ranks * GRID).astype(np.int64)]


def measure(cell: Cell, draws: int, samples: int, seed: int, bootstrapped: int = BOOTSTRAPPED) -> Found:
    """Simulate a cell. The width of the bootstrap comes from the first ``bootstrapped`` draws, and is nan for none."""
    rng = np.random.default_rng([seed, *map(ord, repr(cell))])
    ours = chances(cell.accuracy, cell.correlation, rng)
    theirs = None if cell.gap is None else chances(cell.accuracy - cell.gap, cell.correlation, rng)
    truth = cell.accuracy if cell.gap is None else cell.gap
    counts = np.full(cell.problems, float(samples))
    hits, widths, bootstraps = 0, [], []
    for draw in range(draws):
        ranks = rng.random(cell.problems)
        arms = [Shares(rng.binomial(samples, ours(ranks)) / samples, counts)]
        if theirs is not None:
            other = np.where(rng.random(cell.problems) < cell.coupled, ranks, rng.random(cell.problems))
            arms.append(Shares(rng.binomial(samples, theirs(other)) / samples, counts))
        estimate = difference_interval(*arms) if len(arms) == 2 else share_interval(arms[0])
        hits += estimate.low - 1e-12 <= truth <= estimate.high + 1e-12
        widths.append(estimate.high - estimate.low)
        if draw < bootstrapped:
            bootstraps.append(plain_width(arms))
    return Found(cell, hits / draws, float(np.mean(widths)), float(np.mean(bootstraps)) if bootstraps else math.nan)


def plain_width(arms: Sequence[Shares]) -> float:
    """Width of the percentile bootstrap over problems."""
    values = arms[0].values if len(arms) == 1 else arms[0].values - arms[1].values
    plain: Estimate = bootstrap(values[:, None], lambda totals: totals[..., 0] / len(values), draws=500)
    return plain.high - plain.low


def summary(found: Sequence[Found]) -> str:
    """Least and mean coverage, and the widths at the largest number of problems."""
    least = min(found, key=lambda row: row.coverage)
    below = [row for row in found if row.coverage < 0.92]
    unsure = [row.coverage for row in found if row.cell.accuracy < 1 or row.cell.gap]
    wide = [row for row in found if row.cell.problems == max(PROBLEMS)]
    ratios = [row.width / row.bootstrap for row in wide if row.bootstrap > 0]
    total = sum(row.width for row in wide) / sum(row.bootstrap for row in wide)
    return (
        f"{len(found)} cells, {len(below)} below 0.92, least {least.coverage:.3f}. Mean coverage "
        f"{np.mean([row.coverage for row in found]):.3f}, without the cells of certain outcome {np.mean(unsure):.3f}. "
        f"At {max(PROBLEMS)} problems: mean width {total:.2f} of the bootstrap's, "
        f"mean of the cells' ratios {np.mean(ratios):.2f}, largest {max(ratios):.2f}."
    )


def table(found: Sequence[Found]) -> list[str]:
    """Markdown rows."""
    pair = found[0].cell.gap is not None
    head = ["problems", "accuracy", "correlation", *(["gap", "coupled"] if pair else [])]
    head += ["coverage", "width", "of the bootstrap's"]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join(["---:"] * len(head)) + " |"]
    for row in found:
        cell = row.cell
        cells = [str(cell.problems), f"{cell.accuracy:g}", f"{cell.correlation:g}"]
        cells += [f"{cell.gap:g}", f"{cell.coupled:g}"] if pair else []
        ratio = f"{row.width / row.bootstrap:.2f}" if row.bootstrap else "-"
        lines.append("| " + " | ".join([*cells, f"{row.coverage:.3f}", f"{row.width:.3f}", ratio]) + " |")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Coverage and width of intervals by simulation.")
    parser.add_argument("--draws", type=int, default=4000, help="evaluations of a cell (default %(default)s)")
    parser.add_argument("--samples", type=int, default=8, help="samples of a problem (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    help_text = "of samples within a problem. 1: a problem is always right or always wrong (default %(default)s)"
    parser.add_argument("--correlations", type=float, nargs="+", default=CORRELATIONS, help=help_text)
    parser.add_argument("--coupled", type=float, nargs="+", default=COUPLED, help="of a pair (default %(default)s)")
    options = parser.parse_args(arguments)
    single, pairs = single_cells(options.correlations), paired_cells(options.correlations, options.coupled)
    for title, cells in (("Accuracy of one arm", single), ("Paired difference", pairs)):
        found = [measure(cell, options.draws, options.samples, options.seed) for cell in cells]
        print("\n".join([f"## {title}", "", summary(found), "", *table(found), ""]), flush=True)


if __name__ == "__main__":
    main()
