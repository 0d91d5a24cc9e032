"""Cost that this product adds to a verl step: its trainer against verl's own, everything else equal.

    python -m benchmarks.stages.step_cost OUT_DIR [--steps 43] [key=value ...]

There are two runs, ours (StageTrainer) and bare (verl's TaskRunnerV1 and PPOTrainerSync), with one rendered
configuration: same plugin, sampler, agent loop, data and seeds. The runs step in turn (``turns``). A step is everything
between two fetches of prompts. The first two steps of each run are warm-up. The command prints medians with a 95 %
bootstrap interval, and the ratio of paired steps.
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
CACHE_BLOCKS = 4096
POLL_SECONDS = 0.5
KINDS = ("ours", "bare")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--steps", type=int, default=43, help="steps of each run; all count but the first two and the last"
    )
    parser.add_argument("--run", choices=KINDS, help="internal: do the run of this kind")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    return parser.parse_intermixed_args()


def one_run(kind: str, out: Path, steps: int, overrides: list[str]) -> None:
    """Train in this process, in turn with the other kind."""
    import ray
    from omegaconf import OmegaConf

    from judgerlvr.cluster.environment import environment
    from judgerlvr.config.load import load_config, resolve_path
    from judgerlvr.engine import runner
    from judgerlvr.engine.verl_config import render, write_agent_loops
    from judgerlvr.models.directory import pick_device
    from judgerlvr.pipeline.generate_data import prepare_generate

    settings = [f"generate.stop.steps={steps}", "generate.algorithm.dynamic_sampling=false", *overrides]
    config = load_config("configs/tiny.yaml", settings)
    device = pick_device(config.cluster.device)
    if device == "gpu":
        # The second engine finds less free memory; sleeping and waking take time in proportion to the cache.
        config.cluster.rollout_engine["num_gpu_blocks_override"] = CACHE_BLOCKS
    os.environ.update(environment(device, config.cluster.rollout_cpu_gib))
    stage = prepare_generate(config, out / kind, resolve_path(config.model.path).resolve(), device, None)
    from verl.trainer.main_ppo import TaskRunnerV1, run_ppo

    write_agent_loops(stage)
    rendered = render(stage)
    rendered.trainer.logger = ["file"]
    rendered.trainer.save_freq = -1
    rendered.data.custom_cls.path = str(Path(__file__).with_name("turns.py"))
    rendered.data.custom_cls.name = "TurnTaking"
    turns = {"folder": str(out), "name": kind, "other": KINDS[1 - KINDS.index(kind)]}
    OmegaConf.update(rendered, "data.turns", turns, force_add=True)
    try:
        if kind == "ours":
            run_ppo(rendered, runner._Bound(stage))
        else:
            rendered.trainer.checkpoint_callback_class = None
            run_ppo(rendered, TaskRunnerV1)
    finally:
        ray.shutdown()


def start(kind: str, options: argparse.Namespace) -> subprocess.Popen[bytes]:
    (options.out / kind).mkdir()
    command = [sys.executable, __file__, str(options.out), "--run", kind, "--steps", str(options.steps)]
    environment = os.environ | {"VERL_FILE_LOGGER_PATH": str(options.out / kind / "steps.jsonl")}
    with (options.out / kind / "engine.log").open("w") as log:
        return subprocess.Popen([*command, *options.overrides], stdout=log, stderr=log, env=environment)


def run_both(options: argparse.Namespace) -> None:
    """Start both runs and give the first turn once both are ready. A run finishes alone when the other has ended."""
    from benchmarks.stages.turns import TURN, give_turn

    running = {kind: start(kind, options) for kind in KINDS}
    while running:
        time.sleep(POLL_SECONDS)
        if not (options.out / TURN).exists() and all((options.out / f"{kind}.ready").exists() for kind in KINDS):
            give_turn(options.out, KINDS[0])
        for kind in [kind for kind, process in running.items() if process.poll() is not None]:
            if running.pop(kind).returncode:
                for process in running.values():
                    process.terminate()
                raise SystemExit(f"{kind} failed; see {options.out / kind / 'engine.log'}")
            (options.out / f"{kind}.done").touch()
            for other in running:
                give_turn(options.out, other)


def seconds(log: Path) -> np.ndarray:
    """Length of each step after warm-up. The last step has no end, because nothing is fetched after it."""
    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    starts = [event["start"] for event in events if "start" in event]
    ends = [event["end"] for event in events if "end" in event]
    return np.array(ends[WARM_UP:]) - np.array(starts[WARM_UP : len(ends)])


def median_interval(values: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """(median, 2.5 %, 97.5 %) by bootstrap."""
    draws = np.random.default_rng(seed).choice(values, (2000, len(values)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return float(np.median(values)), float(low), float(high)


def main() -> None:
    options = parse_arguments()
    options.out = options.out.absolute()
    if options.run:
        one_run(options.run, options.out, options.steps, options.overrides)
        return
    options.out.mkdir(parents=True)
    run_both(options)
    steps = {kind: seconds(options.out / f"{kind}.jsonl") for kind in KINDS}
    for kind, values in steps.items():
        print(
            "{}: median {:.3f} s a step [{:.3f}, {:.3f}], {} steps".format(kind, *median_interval(values), len(values))
        )
    paired = min(map(len, steps.values()))
    ratio = median_interval(steps["ours"][:paired] / steps["bare"][:paired])
    print("ours / bare, paired steps: median {:.3f} [{:.3f}, {:.3f}]".format(*ratio))
    result = {kind: values.tolist() for kind, values in steps.items()} | {
        "ratio": ratio,
        "overrides": options.overrides,
    }
    (options.out / "step_cost.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
