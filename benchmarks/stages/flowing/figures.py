"""What the runs of ``run.py`` took, and what the planner says about the same lengths."""

from __future__ import annotations

import argparse
import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

from scipy.stats import t as student

from benchmarks.hysparse.kernels.table import heading
from benchmarks.hysparse.long_rl.record import versions
from benchmarks.stages.engine_speed.shapes import write_shape
from benchmarks.stages.flowing.cases import MODES, keys
from benchmarks.stages.real_shapes import empty_config
from judgerlvr.config.effective import configure
from judgerlvr.config.load import load_stored
from judgerlvr.config.schema import Config
from judgerlvr.planning.lengths import Lengths, recorded
from judgerlvr.planning.machine import machine_of
from judgerlvr.planning.scaling import Row, row
from judgerlvr.planning.shapes import read_shape
from judgerlvr.runs.folder import CONFIG
from judgerlvr.runs.metrics import FLOW, MEAN_TOKENS, METRICS, REWARD, StepRow, read_metrics

QUANTILES = 4096


@dataclass(frozen=True)
class Step:
    """``seconds`` from a turn to the next question for one, with the handover of the weights. ``age`` is in updates."""

    seconds: float
    tokens: float
    reward: float
    age: float
    timers: dict[str, float]


def geometric(mean: int, limit: int) -> Lengths:
    """Lengths where each token ends a response with the same chance, cut at ``limit``."""
    stay = math.log1p(-1 / mean)
    middles = ((part + 0.5) / QUANTILES for part in range(QUANTILES))
    tokens = sorted(min(limit, max(1, math.ceil(math.log(middle) / stay))) for middle in middles)
    return Lengths(tuple(tokens), f"geometric with mean {mean} before the cut")


def steps_of(rows: Sequence[StepRow], turns: Sequence[dict[str, float]], samples: int) -> list[Step]:
    """The steps that have ended: a row of metrics and the turns around each."""
    seconds = [after["asked"] - before["granted"] for before, after in pairwise(turns)]
    training = [found for found in rows if found.is_training]
    return [
        Step(
            spent,
            found[MEAN_TOKENS] * samples,
            found[REWARD],
            found.values.get(FLOW.name.format("age_mean"), 0.0),
            {name: value for name, value in found.values.items() if name.startswith("timing_s/")},
        )
        for found, spent in zip(training, seconds, strict=False)
    ]


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % bounds of a mean by Student's t, without bounds for a single value."""
    if len(values) < 2:
        return -math.inf, math.inf
    reach = float(student.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return fmean(values) - reach, fmean(values) + reach


def rate(steps: Sequence[Step]) -> float:
    """Tokens of a second."""
    return sum(step.tokens for step in steps) / sum(step.seconds for step in steps)


def plan_of(config: Config, model: Path, runs: Path, lengths: Lengths) -> Row:
    """The planner's row of the stage on the cards of the configuration."""
    cluster = config.cluster
    machine = machine_of(config.planning, runs, "gpu")
    return row("generate", config, read_shape(model), machine, cluster.nodes * cluster.gpus_per_node, lengths)


def predictions(options: argparse.Namespace) -> str:
    """The plan before any run, for the lengths that the policies are made for."""
    lines = ["| tail | p99 / mean | step, s | phases, s | async |", "| --- | --- | --- | --- | --- |"]
    for tail in options.tails:
        model = write_shape(options.shape, options.work / "shape")
        given = [*keys(options, tail, "sync"), f"model.path={model}", f"planning.card={options.card}"]
        config = configure(empty_config(options.work), given, None).config
        lengths = geometric(tail.mean, tail.limit)
        lines.append(plan_line(tail.name, plan_of(config, model, options.work, lengths), lengths))
    return "\n".join(lines)


def plan_line(name: str, found: Row, lengths: Lengths) -> str:
    phases = ", ".join(f"{phase} {seconds:.2f}" for phase, seconds in found.seconds.items())
    return f"| {name} | {lengths.tail:.2f} | {found.step:.2f} | {phases} | {found.gain:.2f}x |"


def measured(options: argparse.Namespace, name: str) -> list[Step]:
    """The steps of one run, and its metrics and turns copied beside the record."""
    run, turns = options.work / "runs" / name, options.work / "turns" / f"{name}.jsonl"
    if not (run / METRICS).is_file() or not turns.is_file():
        return []
    shutil.copy(run / METRICS, options.out / f"{name}-{METRICS}")
    shutil.copy(turns, options.out / f"{name}-turns.jsonl")
    config = load_stored(run / CONFIG, "gpu")
    batch = config.generate.batch
    samples = int(batch.prompts_per_step) * batch.samples_per_prompt
    rows = [json.loads(line) for line in turns.read_text().splitlines()]
    return steps_of(read_metrics(run / METRICS), rows, samples)


def predicted(options: argparse.Namespace, name: str) -> tuple[Row, Lengths]:
    """The plan for the lengths that a run has recorded."""
    run = options.work / "runs" / name
    config = load_stored(run / CONFIG, "gpu")
    config.planning.card = options.card
    lengths = recorded(run, config.generate.max_response_tokens)
    return plan_of(config, Path(config.model.path), options.work, lengths), lengths


def compared(options: argparse.Namespace, tail: str, runs: dict[str, list[Step]]) -> dict[str, Any]:
    """Ratios of a tail, measured and predicted, over the rounds behind the warm-up."""
    plan, lengths = predicted(options, f"{tail}-sync")
    sync, flowing = (runs[mode][options.warm_up :] for mode in MODES)
    pairs = list(zip(sync, flowing, strict=False))
    logs = [math.log(rate([b]) / rate([a])) for a, b in pairs]
    low, high = mean_interval(logs)
    step = median(one.seconds for one in sync)
    return {
        "tail": tail,
        "p99 over mean": lengths.tail,
        "rounds": len(pairs),
        "tokens a second": [rate(sync), rate(flowing)],
        "ratio": rate(flowing) / rate(sync),
        "ratios of rounds": [math.exp(one) for one in logs],
        "ratio of rounds, mean and interval": [math.exp(one) for one in (fmean(logs), low, high)],
        "seconds of a step": [step, median(one.seconds for one in flowing)],
        "reward": [fmean(one.reward for one in steps) for steps in (sync, flowing)],
        "tokens of a step": [fmean(one.tokens for one in steps) for steps in (sync, flowing)],
        "age of a sample, updates": fmean(one.age for one in flowing),
        "predicted ratio": plan.gain,
        "predicted step": plan.step,
        "predicted over measured step": plan.step / step,
        "plan": plan_line(tail, plan, lengths),
    }


def write_record(options: argparse.Namespace, codes: dict[str, int | None]) -> None:
    """OUT/flowing.json and OUT/flowing.md, from whatever the runs have left."""
    runs = {name: measured(options, name) for name in codes}
    rows = []
    for tail in options.tails:
        both = {mode: runs[f"{tail.name}-{mode}"] for mode in MODES}
        if all(len(steps) > options.warm_up for steps in both.values()):
            rows.append(compared(options, tail.name, both))
    facts = {**heading(), **versions()}
    steps = {name: [asdict(step) for step in found] for name, found in runs.items()}
    record = {**facts, "options": {k: str(v) for k, v in vars(options).items()}, "exit codes": codes}
    (options.out / "flowing.json").write_text(json.dumps(record | {"compared": rows, "steps": steps}, indent=1) + "\n")
    lines = [*(f"{name}: {value}  " for name, value in facts.items()), "", f"exit codes: {codes}", ""]
    for found in rows:
        lines += [f"## {found['tail']}", "", *(f"- {name}: {value}" for name, value in found.items()), ""]
    (options.out / "flowing.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines), flush=True)
