"""HySparse, its full-attention twin and its window-hybrid twin learn to recall from outside the window, side by side.

    PYTHONPATH=. python benchmarks/hysparse_recall.py OUT_DIR [--seconds 400]

All three take a step on each batch before the next is drawn: they have seen the same tokens whenever time ends. Rows
grow by stages (--stages LENGTH:ROWS:CHAINS:GROUPS:SHARE ...; SHARE is of the training time); `recall_task.py` tells
what is in them. "far" queries want symbols 1 to --hops links along a chain that lies outside the window, "near" ones,
the control, a chain within it. Layers are those of the preset `small` at 1:--ratio without a closing full layer, with
a vocabulary cut to the task's. OUT_DIR/hysparse-recall.json and .md hold the curves; OUT_DIR/indices-N.pt the trained
HySparse model's selection over N held-out tokens, 16 blocks a query, for `hysparse_kernels.py --indices`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hysparse.case import DEVICE
from hysparse.recall import MODELS, Learner, evaluate, heldout_rows, stream, twin
from hysparse.recall_indices import save_indices
from hysparse.recall_task import Batch, Task
from hysparse.table import heading

STAGES = ("512:16:20:28:0.3", "2048:8:30:72:0.5", "8192:2:30:72:0.2")


@dataclass(frozen=True)
class Stage:
    """Rows of one length, for a share of the training time."""

    task: Task
    rows: int
    share: float


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--seconds", type=float, default=400, help="for all, a tenth of it kept for what follows training"
    )
    parser.add_argument("--stages", nargs="+", default=list(STAGES))
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--lr", type=float, default=6e-4)
    parser.add_argument("--warmup", type=int, default=60, help="steps")
    parser.add_argument("--hops", type=int, default=2, help="most links of a query")
    parser.add_argument("--symbols", type=int, default=320)
    parser.add_argument("--ratio", type=int, default=12, help="sparse layers after each full one")
    parser.add_argument("--block", type=int, default=64)
    parser.add_argument("--select-tokens", type=int, default=512)
    parser.add_argument("--window", type=int, default=128)
    parser.add_argument("--layers", type=int, default=13)
    parser.add_argument("--hidden", type=int, default=768)
    parser.add_argument("--dim", type=int, default=128, help="of a head")
    parser.add_argument("--contexts", type=int, nargs="*", default=[32768, 131072], help="tokens of stored indices")
    parser.add_argument("--count", type=int, default=16, help="blocks a query of stored indices")
    return parser.parse_args()


def stage_of(text: str, options: argparse.Namespace) -> Stage:
    length, rows, chains, groups = (int(size) for size in text.split(":")[:4])
    task = Task(length, options.window, chains, options.hops, groups, options.symbols)
    return Stage(task, rows, float(text.split(":")[4]))


def learners_of(options: argparse.Namespace, vocabulary: int) -> list[Learner]:
    sizes = {
        "num_hidden_layers": options.layers,
        "sparse_ratio": options.ratio,
        "hidden_size": options.hidden,
        "intermediate_size": options.hidden * 8 // 3,
        "head_dim": options.dim,
        "select_block": options.block,
        "select_tokens": options.select_tokens,
        "sliding_window": options.window,
        "vocab_size": vocabulary,
    }
    return [Learner.new(name, twin(name, **sizes)) for name in options.models]


@dataclass
class Comparison:
    """The run: its learners, what it printed and stored so far."""

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
        """From the end of the warm-up; a tenth of all is kept for what follows."""
        return 0.9 * self.options.seconds - self.trained_from

    @property
    def active(self) -> list[Learner]:
        return [learner for learner in self.learners if not learner.error]

    def warm_up(self, stages: list[Stage]) -> None:
        """Compile what each stage needs: gradients that no optimiser sees."""
        for stage in stages:
            rows = next(stream(stage.task, stage.rows, 0))
            for learner in self.active:
                guarded(learner, lambda learner=learner, rows=rows: learner.gradients(rows))
                print(f"{self.elapsed:5.0f} s  length {stage.task.length}  {learner.name} ready", flush=True)
        self.trained_from = self.elapsed

    def rate(self) -> float:
        """Learning rate now: warm-up, then a linear decay over the training time to a tenth."""
        warm = min(1.0, (self.steps + 1) / self.options.warmup)
        past = (self.elapsed - self.trained_from) / self.training_seconds
        return self.options.lr * warm * (1 - 0.9 * min(1.0, past))

    def train(self, stage: Stage, heldout: list[Batch], until: float, seed: int) -> None:
        """Steps of all learners on one stage's stream until ``until`` seconds of the run; evaluates five times."""
        begun = self.elapsed
        due = begun
        for rows in stream(stage.task, stage.rows, seed):
            if self.elapsed >= due:
                self.report(stage.task, heldout)
                due = self.elapsed + (until - begun) / 5
            if self.elapsed >= until or not self.active:
                break
            self.step(rows)
        if self.reported != self.steps:
            self.report(stage.task, heldout)

    def step(self, rows: Batch) -> None:
        rate = self.rate()
        for learner in self.active:
            guarded(learner, lambda learner=learner: learner.step(rows, rate))
        self.steps, self.tokens = self.steps + 1, self.tokens + rows.first.numel()

    def report(self, task: Task, heldout: list[Batch]) -> None:
        """Evaluate all on held-out rows, print, and write what is known."""
        for learner in self.active:
            result = guarded(learner, lambda learner=learner: evaluate(learner.model, heldout))
            if result is None:
                continue
            self.reported = self.steps
            place = {"length": task.length, "step": self.steps, "tokens": self.tokens, "seconds": learner.seconds}
            learner.curve.append({**place, **result})
            shown = " ".join(f"{name} {value:.3f}" for name, value in result.items() if not name.startswith("loss "))
            print(
                f"{self.elapsed:5.0f} s  length {task.length}  step {self.steps}  {learner.name}: {shown}", flush=True
            )
        self.write()

    def write(self) -> None:
        record = {**heading(), "options": {name: str(value) for name, value in vars(self.options).items()}}
        record["models"] = {  # type: ignore[assignment]
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


def guarded(learner: Learner, call: Any) -> Any:
    """The call's result; an error stops this learner only, and is written down."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - the other models go on whatever one raises
        learner.error = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        print(f"{learner.name} stopped: {learner.error}", flush=True)
        return None


def markdown(run: Comparison) -> str:
    """Curves side by side: a row an evaluation, a column a model and kind of query."""
    kinds = [f"{side} {hop}" for side in ("far", "near") for hop in range(1, run.options.hops + 1)]
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
    heldout = [heldout_rows(stage.task, stage.rows, 4) for stage in stages]
    run = Comparison(options, learners_of(options, stages[0].task.vocabulary), time.perf_counter())
    run.warm_up(stages)
    share = 0.0
    for number, stage in enumerate(stages):
        share += stage.share
        run.train(stage, heldout[number], run.trained_from + share * run.training_seconds, number)
    for number in range(len(stages) - 1):
        run.report(stages[number].task, heldout[number])
    for learner in run.learners:
        if learner.name == MODELS[0] and not learner.error:
            save_indices(learner.model, stages[-1].task, options, DEVICE)
    print(f"written to {options.out}; {run.steps} steps, {run.tokens / 1e6:.1f} M tokens each, {run.elapsed:.0f} s")
    return 0


if __name__ == "__main__":
    torch.set_float32_matmul_precision("high")
    sys.exit(main())
