"""HySparse, its full-attention twin and its window-hybrid twin learn to recall from outside the window, side by side.

    python -m benchmarks.hysparse.recall.run OUT_DIR [--seconds 360]

All three models take a step on each batch before the next batch is drawn. They have therefore seen the same tokens
whenever time ends. Rows grow by stages (--stages LENGTH:ROWS:GAP:CLUSTERS:CHAINS:GROUPS:SHARE ...). A stage ends early
once HySparse and the full-attention twin have learnt it, and the last stage gets the rest of the time. `task.py`
describes the rows. "far" queries want symbols 1 to --hops links along a chain that lies outside the window. "near"
queries, the control, want symbols of a chain within the window. The last stage's gap is longer than the reach of all
window layers together.

Layers are those of the preset `small` at 1:--ratio without a closing full layer. There is one more layer, because the
vocabulary is cut to the task's. All three models begin as attention that looks symbols up (`models.SymbolLookup`), and
mostly learn to look up twice. OUT_DIR/hysparse-recall.json and .md hold the curves. OUT_DIR/indices-N.pt holds the
trained HySparse model's selection over N held-out tokens, 16 blocks a query, for `--indices` of
`benchmarks.hysparse.kernels.run`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from benchmarks.hysparse.kernels.case import DEVICE
from benchmarks.hysparse.kernels.table import heading
from benchmarks.hysparse.recall.indices import save_indices
from benchmarks.hysparse.recall.models import MODELS, Learner, SymbolLookup, evaluate, heldout_rows, stream, twin
from benchmarks.hysparse.recall.task import Batch, Task

STAGES = ("128:64:1:1:6:6:0.35", "1024:16:128:8:2:12:0.15", "2048:8:512:12:2:24:0.15", "8192:2:1700:24:2:24:0.35")
LEARNT = 0.95  # of far queries, with the most links
EVALUATIONS = 30
T = TypeVar("T")


@dataclass(frozen=True)
class Lesson:
    """Rows of one length, for a share of the training time."""

    task: Task
    rows: int
    share: float


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--seconds",
        type=float,
        default=360,
        help="seconds of the whole run; a tenth is kept for the work after training",
    )
    parser.add_argument("--stages", nargs="+", default=list(STAGES))
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--lr", type=float, default=6e-4, help="learning rate of matrices, see `models.groups`")
    parser.add_argument("--warmup", type=int, default=20, help="steps")
    parser.add_argument("--matching", type=float, default=0.7, help="see `models.SymbolLookup`")
    parser.add_argument("--copying", type=float, default=1.0)
    parser.add_argument("--hops", type=int, default=2, help="most links of a query")
    parser.add_argument("--symbols", type=int, default=256)
    parser.add_argument("--ratio", type=int, default=13, help="sparse layers after each full layer")
    parser.add_argument("--block", type=int, default=64)
    parser.add_argument("--select-tokens", type=int, default=512)
    parser.add_argument("--window", type=int, default=128)
    parser.add_argument("--layers", type=int, default=14)
    parser.add_argument("--hidden", type=int, default=768)
    parser.add_argument("--dim", type=int, default=128, help="dimension of a head")
    parser.add_argument(
        "--contexts", type=int, nargs="*", default=[32768, 65536, 131072], help="contexts of stored indices"
    )
    parser.add_argument("--count", type=int, default=16, help="blocks a query of stored indices")
    return parser.parse_args()


def stage_of(text: str, options: argparse.Namespace) -> Lesson:
    length, rows, gap, clusters, chains, groups = (int(size) for size in text.split(":")[:6])
    task = Task(length, gap, clusters, chains, groups, options.hops, options.symbols, options.block)
    return Lesson(task, rows, float(text.split(":")[6]))


def describe(stage: Lesson, options: argparse.Namespace) -> str:
    """Sizes of a stage beside the window's and the selection's."""
    task, count = stage.task, options.select_tokens // options.block
    reach = (options.layers - 1) * (options.window - 1)
    return (
        f"length {task.length}: {stage.rows} rows a step, {task.clusters} clusters in "
        f"{task.length // task.block} blocks, {count} of them selected; gap {task.gap}, the window layers "
        f"together reach {reach}; a guess among the row's far ends is right in {1 / (task.clusters * task.chains):.1%}"
    )


def check_last(stage: Lesson, options: argparse.Namespace) -> None:
    """Raise ValueError unless the last stage exceeds the windows' reach and has more clusters than a query selects."""
    if stage.task.gap <= (options.layers - 1) * (options.window - 1):
        raise ValueError(f"the last stage's gap of {stage.task.gap} is within reach of the window layers together")
    if stage.task.clusters <= options.select_tokens // options.block:
        raise ValueError(f"the last stage's {stage.task.clusters} clusters could all be selected")


def learner_of(name: str, options: argparse.Namespace) -> Learner:
    sizes = {
        "num_hidden_layers": options.layers,
        "sparse_ratio": options.ratio,
        "hidden_size": options.hidden,
        "intermediate_size": options.hidden * 8 // 3,
        "head_dim": options.dim,
        "select_block": options.block,
        "select_tokens": options.select_tokens,
        "sliding_window": options.window,
        "vocab_size": stage_of(options.stages[0], options).task.vocabulary,
    }
    return Learner.new(name, twin(name, **sizes), options.symbols, SymbolLookup(options.matching, options.copying))


@dataclass
class Comparison:
    """The run: its learners, and the printed and stored results so far."""

    options: argparse.Namespace
    learners: list[Learner]
    begun: float
    steps: int = 0
    tokens: int = 0
    reported: int = -1
    trained_from: float = 0.0

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self.begun

    @property
    def training_seconds(self) -> float:
        """Seconds of training from the end of the warm-up. A tenth of all seconds is kept for later work."""
        return 0.9 * self.options.seconds - self.trained_from

    @property
    def active(self) -> list[Learner]:
        return [learner for learner in self.learners if not learner.error]

    def warm_up(self, stages: list[Lesson]) -> None:
        """Compile the kernels of each stage with gradients that no optimiser uses."""
        for stage in stages:
            rows = heldout_rows(stage.task, stage.rows, 1)[0]
            for learner in self.active:
                guarded(learner, partial(learner.gradients, rows))
                print(f"{self.elapsed:5.0f} s  length {stage.task.length}  {learner.name} ready", flush=True)
        self.trained_from = self.elapsed

    def rate(self) -> float:
        """Learning rate now: warm-up, then a linear decay over the training time to a tenth."""
        warm = min(1.0, (self.steps + 1) / self.options.warmup)
        past = (self.elapsed - self.trained_from) / self.training_seconds
        return self.options.lr * warm * (1 - 0.9 * min(1.0, past))

    def train(self, stage: Lesson, heldout: list[Batch], until: float, seed: int, last: bool) -> None:
        """Steps of all learners on one stage's stream until ``until`` seconds of the run, or until all learnt."""
        due = self.elapsed
        rows_of = stream(stage.task, stage.rows, seed)
        for rows in rows_of:
            if self.elapsed >= due:
                self.report(stage.task, heldout)
                due = self.elapsed + self.training_seconds / EVALUATIONS
                if self.learnt() and not last:
                    break
            if self.elapsed >= until or not self.active:
                break
            self.step(rows)
        rows_of.close()
        if self.reported != self.steps:
            self.report(stage.task, heldout)

    def learnt(self) -> bool:
        """Whether HySparse and the full-attention twin are right on far queries with the most links."""
        able = [learner for learner in self.active if learner.name != MODELS[2]]
        return all(learner.curve[-1].get(f"far {self.options.hops}", 0.0) >= LEARNT for learner in able)

    def step(self, rows: Batch) -> None:
        rate = self.rate()
        for learner in self.active:
            guarded(learner, partial(learner.step, rows, rate))
        self.steps, self.tokens = self.steps + 1, self.tokens + rows.first.numel()

    def report(self, task: Task, heldout: list[Batch]) -> None:
        """Evaluate all models on held-out rows, print, and write the results so far."""
        for learner in self.active:
            learner.settle()
            result = guarded(learner, partial(evaluate, learner, heldout))
            if result is None:
                continue
            self.reported = self.steps
            place = {"length": task.length, "step": self.steps, "tokens": self.tokens, "seconds": learner.seconds}
            learner.curve.append({**place, **result})
            shown = " ".join(f"{name} {value:.3f}" for name, value in result.items())
            print(
                f"{self.elapsed:5.0f} s  length {task.length}  step {self.steps}  {learner.name}: {shown}", flush=True
            )
        self.write()

    def write(self) -> None:
        record: dict[str, Any] = {
            **heading(),
            "options": {name: str(value) for name, value in vars(self.options).items()},
        }
        record["models"] = {
            learner.name: {
                "parameters": learner.model.num_parameters(),
                "layers": " ".join(kind[0] for kind in learner.model.config.kinds),
                "seconds in steps": learner.seconds,
                "error": learner.error,
                "curve": learner.curve,
            }
            for learner in self.learners
        }
        self.options.out.mkdir(parents=True, exist_ok=True)
        (self.options.out / "hysparse-recall.json").write_text(json.dumps(record, indent=1) + "\n")
        (self.options.out / "hysparse-recall.md").write_text(markdown(self))


def guarded(learner: Learner, call: Callable[[], T]) -> T | None:
    """The call's result. An error stops this learner only, and is written down."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - the other models go on whatever one raises
        learner.error = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        print(f"{learner.name} stopped: {learner.error}", flush=True)
        return None


def markdown(run: Comparison) -> str:
    """Curves side by side: a row for each evaluation, a column for each model and kind of query."""
    kinds = [f"{side} {hop}" for side in ("far", "near") for hop in range(1, run.options.hops + 1)]
    kinds.append("covered")
    lines = [f"{name}: {value}  " for name, value in heading().items()]
    for learner in run.learners:
        size = f"{learner.model.num_parameters() / 1e6:.1f} M parameters"
        layers = " ".join(kind[0] for kind in learner.model.config.kinds)
        lines.append(f"{learner.name}: {size}, layers {layers}, {learner.seconds:.0f} s in steps {learner.error}  ")
    lines += [
        "",
        "| model | length | step | tokens | loss | " + " | ".join(kinds) + " |",
        "|" + " --- |" * (5 + len(kinds)),
    ]
    points = [
        (point["length"], point["step"], learner.name, point) for learner in run.learners for point in learner.curve
    ]
    for length, step, name, point in sorted(points, key=lambda item: item[:2]):
        cells = [name, f"{length:.0f}", f"{step:.0f}", f"{point['tokens']:.4g}", f"{point['loss']:.4g}"]
        lines.append("| " + " | ".join(cells + [f"{point.get(kind, float('nan')):.3f}" for kind in kinds]) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    options = parse_arguments()
    stages = [stage_of(text, options) for text in options.stages]
    check_last(stages[-1], options)
    print("\n".join(describe(stage, options) for stage in stages), flush=True)
    begun = time.perf_counter()
    heldout = [heldout_rows(stage.task, stage.rows, 4) for stage in stages]
    run = Comparison(options, [learner_of(name, options) for name in options.models], begun)
    run.warm_up(stages)
    share = 0.0
    for number, stage in enumerate(stages):
        share += stage.share
        until = run.trained_from + share * run.training_seconds
        run.train(stage, heldout[number], until, number, last=stage is stages[-1])
    for learner in run.learners:
        if learner.name == MODELS[0] and not learner.error:
            save_indices(learner.model, stages[-1].task, options, DEVICE, learner.seconds)
    for number in range(len(stages) - 1):
        run.report(stages[number].task, heldout[number])
    print(f"written to {options.out}; {run.steps} steps, {run.tokens / 1e6:.1f} M tokens each, {run.elapsed:.0f} s")
    return 0


if __name__ == "__main__":
    torch.set_float32_matmul_precision("high")
    sys.exit(main())
