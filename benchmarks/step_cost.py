"""What this product adds to a verl step: its trainer against verl's own, everything else equal.

    python benchmarks/step_cost.py OUT_DIR [--steps 20] [--rounds 2] [key=value ...]

Runs A (StageTrainer) and B (verl's TaskRunnerV1 and PPOTrainerSync) in turn, A B A B, with one rendered
configuration: same plugin, sampler, agent loop, data and seeds. A step's cost is the time between two lines of
verl's file logger, so that logging and hooks outside verl's own timer count. The first two steps of each run are
warm-up. Prints medians with a 95 % bootstrap interval, and their ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

WARM_UP = 2
POLL_SECONDS = 0.01


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=20, help="steps of each run")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each kind")
    parser.add_argument("--run", choices=("ours", "bare"), help="internal: do one run of this kind")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    return parser.parse_args()


def one_run(kind: str, out: Path, steps: int, overrides: list[str]) -> None:
    """Train in this process; verl's file logger writes to the path that the parent watches."""
    import ray

    from judgerlvr.config.load import load_config, resolve_path
    from judgerlvr.engine import runner
    from judgerlvr.engine.profiles import environment
    from judgerlvr.engine.render import render, write_agent_loops
    from judgerlvr.pipeline.generate_data import prepare_generate
    from judgerlvr.pipeline.models import pick_device

    config = load_config("configs/tiny.yaml", [f"generate.stop.steps={steps}", *overrides])
    device = pick_device(config.cluster.device)
    os.environ.update(environment(device, config.cluster.rollout_memory))
    stage = prepare_generate(config, out, resolve_path(config.model.path).resolve(), device, None)
    from verl.trainer.main_ppo import TaskRunnerV1, run_ppo

    write_agent_loops(stage)
    rendered = render(stage)
    rendered.trainer.logger = ["file"]
    rendered.trainer.save_freq = -1
    try:
        if kind == "ours":
            run_ppo(rendered, runner._Bound(stage))
        else:
            rendered.trainer.checkpoint_callback_class = None
            run_ppo(rendered, TaskRunnerV1)
    finally:
        ray.shutdown()


def timed_run(kind: str, out: Path, options: argparse.Namespace) -> list[float]:
    """Seconds between successive steps of one run in a process of its own."""
    out.mkdir(parents=True)
    log = out / "steps.jsonl"
    command = [
        sys.executable,
        __file__,
        str(out),
        "--run",
        kind,
        "--steps",
        str(options.steps),
        *options.overrides,
    ]
    environment = os.environ | {"VERL_FILE_LOGGER_PATH": str(log.absolute())}
    with (out / "engine.log").open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        stamps: list[float] = []
        while process.poll() is None:
            lines = log.read_bytes().count(b"\n") if log.exists() else 0
            stamps += [time.monotonic()] * (lines - len(stamps))
            time.sleep(POLL_SECONDS)
    if process.returncode:
        raise SystemExit(f"{kind} failed; see {out / 'engine.log'}")
    return list(np.diff(stamps)[WARM_UP - 1 :])


def median_interval(values: list[float], seed: int = 0) -> tuple[float, float, float]:
    """(median, 2.5 %, 97.5 %) by bootstrap."""
    draws = np.random.default_rng(seed).choice(values, (2000, len(values)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return float(np.median(values)), float(low), float(high)


def main() -> None:
    options = parse_arguments()
    if options.run:
        one_run(options.run, options.out, options.steps, options.overrides)
        return
    seconds: dict[str, list[float]] = {"ours": [], "bare": []}
    for number in range(options.rounds):
        for kind, values in seconds.items():
            values += timed_run(kind, options.out / f"{kind}-{number}", options)
    result = {kind: median_interval(values) for kind, values in seconds.items()}
    for kind, (median, low, high) in result.items():
        print(f"{kind}: median {median:.3f} s a step [{low:.3f}, {high:.3f}], {len(seconds[kind])} steps")
    print(f"ratio of medians: {result['ours'][0] / result['bare'][0]:.3f}")
    (options.out / "step_cost.json").write_text(json.dumps(seconds))


if __name__ == "__main__":
    main()
