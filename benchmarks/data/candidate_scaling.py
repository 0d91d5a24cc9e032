"""Tokens a second of one engine and of several, on the GPUs of this machine, in one call.

A rate begins when all engines have loaded the model. The rate ends at nine tenths of the samples.
Each run samples the same problems with the same seeds.

    python -m benchmarks.data.candidate_scaling FOLDER --model DIR --engines 1 2 [--problems 2000] [--max-tokens 1024]
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from data.identity import make_problem
from judgerlvr.models.directory import pick_device
from judgerlvr.sampling import progress
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.engines import EngineSettings
from judgerlvr.sampling.on_ray import ray_engines
from judgerlvr.sampling.plan import Job
from judgerlvr.sampling.samples import generate_items
from judgerlvr.sampling.streaming import sample_items
from judgerlvr.tinyworld.problems import generate_problems


def measure(folder: Path, model: Path, count: int, problems: int, max_tokens: int) -> dict[str, object]:
    """One run with a number of engines."""
    shutil.rmtree(folder, ignore_errors=True)
    made = [make_problem(row["problem"], row["gold"]) for row in generate_problems(problems, 0)]
    items = generate_items(made, "{{problem}}", "scaling")
    settings = EngineSettings(pick_device("auto"), count)
    moments: list[tuple[float, int]] = []

    def tell(line: str) -> None:
        if f", engines {count}," in line:
            moments.append((time.monotonic(), int(line.split()[1])))

    job = Job(model, Decoding(n=1, max_tokens=max_tokens), "scaling")
    with ray_engines(settings) as engines:
        store = sample_items(folder, items, [job], engines, tell=tell)
    tokens = sum(record["tokens"] for record in store.records())
    steady = [moment for moment in moments if moment[1] <= 0.9 * len(items)]
    (start, before), (end, after) = steady[0], steady[-1]
    rate = (after - before) / (end - start) * tokens / len(items)
    return {"engines": count, "samples": len(items), "tokens": tokens, "tokens/s": round(rate, 1)}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data.candidate_scaling", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--engines", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--problems", type=int, default=2000)
    parser.add_argument("--max-tokens", type=int, default=1024)
    options = parser.parse_args(arguments)
    progress.LINE_SECONDS = 1.0
    model = options.model.resolve()
    runs = [
        measure(options.folder / f"engines-{count}", model, count, options.problems, options.max_tokens)
        for count in options.engines
    ]
    for run in runs:
        print(
            json.dumps(
                {**run, "times the first": round(float(str(run["tokens/s"])) / float(str(runs[0]["tokens/s"])), 3)}
            )
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
