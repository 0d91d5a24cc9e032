"""Learning of several demo seeds, with spread: a table of the evaluations of the runs.

    python -m benchmarks.stages.learning DEMO_DIR DEMO_DIR ... [--shuffled RUN_DIR RUN_DIR ...]

A DEMO_DIR is the output of ``judgerlvr.experiments.demo --out DEMO_DIR seed=N``. A shuffled RUN_DIR is a judge run with
``judge.data.shuffle_labels=true`` whose policy was evaluated into RUN_DIR/eval/final on the same held-out prompts.
Shuffled runs are given in the order of the demos' seeds. The command prints the mean, the smallest and the largest
value over the seeds that have an arm, and the gains seed by seed.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
from pathlib import Path
from typing import Any

ARMS = {
    "base": "judge/eval/base",
    "after judge": "judge/eval/final",
    "JudgeRLVR": "generate/eval/final",
    "vanilla, equal steps": "vanilla/eval/step_*",
    "vanilla, equal tokens": "vanilla/eval/final",
}
GAINS = (
    ("base", "after judge", "judge"),
    ("base", "after judge", "judge, checking"),
    ("base", "shuffled labels", "judge"),
    ("base", "after judge", "accuracy"),
    ("base", "JudgeRLVR", "accuracy"),
    ("vanilla, equal steps", "JudgeRLVR", "accuracy"),
    ("vanilla, equal tokens", "JudgeRLVR", "accuracy"),
)
COLUMNS = ("accuracy", "greedy", "tokens", "greedy tokens", "judge", "judge, checking")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("demos", type=Path, nargs="+", help="folders of demo runs")
    parser.add_argument("--shuffled", type=Path, nargs="*", default=[], help="judge runs with shuffled labels")
    return parser.parse_args()


def results(folder: Path) -> dict[tuple[str, bool], dict[str, Any]]:
    """(kind, greedy) -> result of one evaluation."""
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return {(row["kind"], row["decoding"]["temperature"] == 0): row for row in summary["results"]}


def figures(folder: Path) -> dict[str, float]:
    """The columns of the table. Judge accuracies are balanced. ``checking`` counts traces that recompute a step."""
    found = results(folder)
    row: dict[str, float] = {}
    if ("generate", False) in found:
        sampled, greedy = found["generate", False], found["generate", True]
        row |= {"accuracy": sampled["accuracy"]["value"], "greedy": greedy["accuracy"]["value"]}
        row |= {
            name: part["tokens"]["all"]["mean"]["value"]
            for name, part in (("tokens", sampled), ("greedy tokens", greedy))
        }
    judge = found["judge", False]["judge"]
    row |= {"judge": judge["balanced_accuracy"]["value"]}
    row |= {"judge, checking": judge["checking"]["balanced_accuracy"]["value"]}
    return row


def demo_figures(demo: Path) -> dict[str, dict[str, float]]:
    """Arm -> columns, for the arms that were evaluated. If equal steps spent equal tokens, one evaluation serves both
    arms.
    """
    rows = {}
    for arm, pattern in ARMS.items():
        folders = sorted(demo.glob(pattern), key=lambda path: int(re.sub(r"\D", "", path.name) or 0))
        if folders:
            rows[arm] = figures(folders[-1])
    if "vanilla, equal tokens" in rows:
        rows.setdefault("vanilla, equal steps", rows["vanilla, equal tokens"])
    return rows


def spread(values: list[float]) -> str:
    digits = 3 if max(values) < 2 else 1
    low, mean, high = min(values), statistics.fmean(values), max(values)
    return f"{mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def gains(seeds: list[dict[str, dict[str, float]]], start: str, end: str, column: str) -> str:
    """Points gained between two arms of the same seed, over the seeds that have both."""
    both = [seed for seed in seeds if start in seed and end in seed]
    points = [100 * (seed[end][column] - seed[start][column]) for seed in both]
    text = ", ".join(f"{point:+.1f}" for point in points)
    return f"| {column}, {start} -> {end} | {statistics.fmean(points):+.1f} | {text} |"


def main() -> None:
    options = parse_arguments()
    seeds = [demo_figures(demo) for demo in options.demos]
    for seed, run in zip(seeds, options.shuffled or [None] * len(seeds), strict=True):
        if run:
            seed["shuffled labels"] = figures(run / "eval" / "final")
    print("| policy | seeds | " + " | ".join(COLUMNS) + " |")
    print("| --- " * (len(COLUMNS) + 2) + "|")
    for arm in (*ARMS, "shuffled labels"):
        rows = [seed[arm] for seed in seeds if arm in seed]
        cells = [spread([row[column] for row in rows]) if rows and column in rows[0] else "-" for column in COLUMNS]
        print(f"| {arm} | {len(rows)} | " + " | ".join(cells) + " |")
    print("\n| points gained | mean | each seed |\n| --- | --- | --- |")
    for start, end, column in GAINS:
        if any(start in seed and end in seed for seed in seeds):
            print(gains(seeds, start, end, column))


if __name__ == "__main__":
    main()
