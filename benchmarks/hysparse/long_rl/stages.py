"""Stage 2 of the product for each policy, one after the other, with the same keys, seeds and bytes of cache."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from benchmarks.hysparse.kernels.case import DEVICE
from benchmarks.hysparse.long_rl.options import rl_task
from benchmarks.hysparse.long_rl.task import examples, row_of
from data.jsonl import write_jsonl
from judgerlvr.runs.console import ENGINE_LOG
from judgerlvr.runs.metrics import METRICS, read_metrics

TRAINING = 1000  # seed of the problems of RL. SFT has the numbers of its lessons
SLACK = 8  # words after which a response is surely wrong
SPARE = 16  # problems beyond those of all steps
GRACE = 20.0  # seconds from TERM to KILL
GUARDS = ("mismatch", "zero_rewards", "truncation", "entropy_floor", "entropy_ceiling", "length_drift", "reward_drop")


def write_problems(options: argparse.Namespace) -> None:
    """Problems of RL, each for one step alone, the template of their prompts, and an empty configuration."""
    path = options.out / "problems.jsonl"
    if path.is_file():
        return
    task = rl_task(options)
    texts, count = task.words.texts, options.steps * options.prompts + SPARE
    drawn = islice(examples(task, TRAINING), count)
    (options.out / "prompt.txt").write_text("{{problem}}\n")
    (options.out / "defaults.yaml").write_text("seed: 0\n")
    write_jsonl(path, [row_of(task, example, number, texts) for number, example in enumerate(drawn)])


def keys(options: argparse.Namespace) -> list[str]:
    """Keys of both stages. Every prompt is new, so rewards of a step are those of unseen problems."""
    out, longest = options.out.resolve(), options.prompt_tokens[1]
    words = options.links + SLACK
    return [
        f"data.train=[{out / 'problems.jsonl'}]",
        f"data.prompt={out / 'prompt.txt'}",
        "reward.verifier=benchmarks.hysparse.long_rl.task:same_walk",
        f"runs={out / 'runs'}",
        "logging.tensorboard=false",
        "logging.rollouts_per_step=1",
        f"max_prompt_tokens={longest}",
        f"generate.max_response_tokens={words}",
        f"generate.batch.prompts_per_step={options.prompts}",
        f"generate.batch.samples_per_prompt={options.samples}",
        f"generate.batch.updates_per_step={options.updates}",
        f"generate.stop.steps={options.steps}",
        f"generate.stop.grace_seconds={GRACE / 2}",
        f"generate.optimizer.lr={options.lr}",
        # A replaced group would be another number of tokens.
        "generate.algorithm.dynamic_sampling=false",
        "generate.algorithm.overlong=wrong",
        f"generate.checkpoint.every={max(1, options.steps // 2)}",
        "generate.checkpoint.keep=1",
        *(f"guards.{name}.action=warn" for name in GUARDS),
        f"cluster.micro_batch_tokens={max(2 * (longest + words), 8192)}",
        *device_keys(options),
        *options.overrides,
    ]


def device_keys(options: argparse.Namespace) -> list[str]:
    if DEVICE != "cuda":
        return ["cluster.device=cpu"]
    cache = f"cluster.rollout_engine.kv_cache_memory_bytes={options.kv_bytes}"
    return ["cluster.device=gpu", "cluster.rollout_gpu_share=0.3", cache]


class Stages:
    """Runs of the command, with their logs and ends in OUT."""

    def __init__(self, options: argparse.Namespace, begun: float) -> None:
        self.options, self.out, self.begun = options, options.out, begun
        self.lines: list[str] = []

    def all(self) -> None:
        left = [name for name in self.options.order if not self.done(name)]
        for number, name in enumerate(left):
            share = (self.options.seconds - (time.monotonic() - self.begun)) / (len(left) - number)
            self.run(name, min(self.options.stage_seconds, share))

    def done(self, name: str) -> bool:
        path = self.out / f"{name}-{METRICS}"
        return path.is_file() and sum(row.is_training for row in read_metrics(path)) >= self.options.steps

    def run(self, name: str, seconds: float) -> None:
        """One stage. The stage is asked to stop once ``seconds`` are over, and its steps so far are kept."""
        begun = time.monotonic()
        command = [sys.executable, "-m", "judgerlvr.stage2_generate", "--config", str(self.out / "defaults.yaml")]
        ends = ["--init", str(self.out / "policies" / name), "--out", str(self.out / "trained" / name)]
        with (self.out / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*command, *keys(self.options), f"name={name}", *ends], stdout=log, stderr=log, start_new_session=True
            )
            code = wait(process, seconds)
        self.keep(name)
        end = [line for line in (self.out / f"{name}.log").read_text(errors="replace").splitlines() if line.strip()]
        took = time.monotonic() - begun
        self.lines.append(f"{name}: exit code {code} after {took:.0f} s: {' '.join(end[-1:])[-200:]}")
        print(self.lines[-1], flush=True)

    def keep(self, name: str) -> None:
        """Copy the run's metrics and its log out of the run folder. A resumed run would cut unsealed steps."""
        folder = self.out / "runs" / name
        for file in (METRICS, ENGINE_LOG):
            if (folder / file).is_file() and (file != METRICS or longer(folder / file, self.out / f"{name}-{file}")):
                shutil.copy(folder / file, self.out / f"{name}-{file}")


def longer(new: Path, kept: Path) -> bool:
    return not kept.is_file() or len(read_metrics(new)) >= len(read_metrics(kept))


def wait(process: subprocess.Popen[bytes], seconds: float) -> int:
    """The exit code. TERM comes after ``seconds``, and KILL after a grace, to all that the command started."""
    for patience, sign in orders(seconds):
        try:
            return process.wait(patience)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, sign)
    return process.wait()


def orders(seconds: float) -> Iterator[tuple[float, signal.Signals]]:
    yield max(1.0, seconds), signal.SIGTERM
    yield GRACE, signal.SIGKILL
