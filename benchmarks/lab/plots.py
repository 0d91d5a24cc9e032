"""Plots of one cell: accuracy, tokens and the premium of rechecking over steps, and accuracy against tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from benchmarks.lab.pairs import Octets, at_rate, best_rate, mean_end, penalty_front
from benchmarks.lab.records import LABEL


def plot_cell(name: str, octets: Octets, file: Path) -> None:
    """Mean over seeds at each arm's best rate, with the range of the seeds."""
    figure, axes = plt.subplots(2, 2, figsize=(11, 8))
    for arm, octet in octets.items():
        rate = best_rate(octet)
        curves = [run["curve"] for run in at_rate(octet, rate)]
        label = f"{arm}, {rate:g}"
        draw(axes[0, 0], curves, lambda point: point["accuracy"], label)
        draw(axes[0, 1], curves, lambda point: point["tokens"], label)
        draw(axes[1, 0], curves, lambda point: point["every_accuracy"] - point["none_accuracy"], label)
        accuracy, tokens = mean_end([{"curve": curve} for curve in curves])
        axes[1, 1].plot(tokens, accuracy, "o", label=label)
    front = penalty_front(octets)
    axes[1, 1].plot([tokens for _, tokens in front], [accuracy for accuracy, _ in front], "k+", label="penalty front")
    titles = ("accuracy", "tokens", "premium of rechecking", "end accuracy over end tokens")
    for axis, title in zip(axes.flat, titles, strict=True):
        axis.set_title(title)
        axis.set_xlabel("tokens" if axis is axes[1, 1] else "step")
    axes[0, 0].legend(fontsize=7)
    figure.suptitle(f"{LABEL}: {name}")
    figure.tight_layout()
    figure.savefig(file, dpi=80)
    plt.close(figure)


def draw(axis: Axes, curves: list[list[dict]], value: Callable[[dict], float], label: str) -> None:
    steps = [point["step"] for point in curves[0]]
    values = np.array([[value(point) for point in curve] for curve in curves])
    (line,) = axis.plot(steps, values.mean(0), label=label)
    axis.fill_between(steps, values.min(0), values.max(0), alpha=0.15, color=line.get_color())
