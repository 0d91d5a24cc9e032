"""How soon one model alone learns the first stage, by learning rate and by how it starts."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

from hysparse.recall import Learner, evaluate, heldout_rows, stream
from hysparse.recall_task import Task
from hysparse.table import heading

EVERY = 10  # steps between evaluations
ENOUGH = 0.9
MOST_SECONDS = 30.0

# What each try changes of the options; the likeliest first, since time may end before the last.
TRIES: tuple[dict[str, Any], ...] = (
    {},
    {"lr": 1.2e-3},
    {"lr": 3e-4},
    {"matching": 0.9},
    {"lr": 2.4e-3},
    {"copying": 0.3},
    {"matching": 0.0},
    {"layers": 5, "ratio": 4},
)


def search(options: argparse.Namespace, task: Task, rows: int, make: Callable[[argparse.Namespace], Learner]) -> int:
    """Try all within ``options.seconds``; what a try did not need is left to the others."""
    begun = time.perf_counter()
    found: list[dict[str, Any]] = []
    for number, changes in enumerate(TRIES):
        left = options.seconds - (time.perf_counter() - begun)
        if left < 5:
            break
        changed = argparse.Namespace(**{**vars(options), **changes})
        # what is likely to learn may take more than an equal part
        allowed = min(MOST_SECONDS, left, 1.5 * left / (len(TRIES) - number))
        found.append({"changes": changes, **tried(make(changed), task, rows, changed, allowed)})
        print(line(found[-1]), flush=True)
        options.out.mkdir(parents=True, exist_ok=True)
        record = {**heading(), "model": options.models[0], "tries": found}
        (options.out / "hysparse-recall-search.json").write_text(json.dumps(record, indent=1) + "\n")
    return 0


def tried(learner: Learner, task: Task, rows: int, options: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Steps to 90 % of far queries by links, and the curve; ends when all are reached or after ``seconds``."""
    heldout = heldout_rows(task, rows, 2)
    names = [f"far {hop}" for hop in range(1, options.hops + 1)]
    reached: dict[str, int] = {}
    begun = time.perf_counter()
    drawn = stream(task, rows, 0)
    for step, batch in enumerate(drawn, 1):
        learner.step(batch, options.lr * min(1.0, step / options.warmup))
        if step % EVERY:
            continue
        learner.settle()
        learner.curve.append({"step": step, **evaluate(learner, heldout)})
        for name in names:
            if learner.curve[-1][name] >= ENOUGH:
                reached.setdefault(name, step)
        if len(reached) == len(names) or time.perf_counter() - begun > seconds:
            break
    drawn.close()
    steps = EVERY * len(learner.curve)
    return {"reached": reached, "steps": steps, "ms a step": 1e3 * learner.seconds / steps, "curve": learner.curve}


def line(record: dict[str, Any]) -> str:
    changes = " ".join(f"{name}={value}" for name, value in record["changes"].items()) or "as given"
    steps = " ".join(f"{name}: {step}" for name, step in record["reached"].items()) or "none"
    last = " ".join(f"{name} {value:.3f}" for name, value in record["curve"][-1].items() if name != "step")
    return f"{changes} | steps to 90 %: {steps} | {record['steps']} steps of {record['ms a step']:.0f} ms | {last}"
