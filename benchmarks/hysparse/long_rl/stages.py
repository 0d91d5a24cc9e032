"""Stage 2 of the product for each policy, with the same keys, seeds and bytes of cache."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

from benchmarks.hysparse.kernels.case import DEVICE
from benchmarks.hysparse.long_rl.options import rl_task
from benchmarks.hysparse.long_rl.task import examples, row_of
from benchmarks.hysparse.long_rl.turns import FOLDER, NAME, POLL, PROMPTS, RUN, Arbiter
from data.jsonl import write_jsonl
from judgerlvr.runs.console import ENGINE_LOG
from judgerlvr.runs.metrics import METRICS, read_metrics

TRAINING = 1000  # seed of the problems of RL. SFT has the numbers of lessons
SLACK = 8  # words after which a response is surely wrong
SPARE = 16  # problems beyond the steps
GRACE = 15.0  # seconds from the end of the time to TERM, and from TERM to KILL
LEAST = 30.0  # seconds that are worth a start
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
    """Keys of both stages. Every prompt is new, so rewards count unseen problems."""
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
        f"generate.checkpoint.every={options.every}",
        "generate.checkpoint.keep=1",
        "engine.data.custom_cls.path=pkg://benchmarks.hysparse.long_rl.gate",
        "engine.data.custom_cls.name=GatedDataset",
        *(f"guards.{name}.action=warn" for name in GUARDS),
        f"cluster.micro_batch_tokens={max(2 * (longest + words), 8192)}",
        *device_keys(options),
        *options.overrides,
    ]


def device_keys(options: argparse.Namespace) -> list[str]:
    if DEVICE != "cuda":
        return ["cluster.device=cpu"]
    cache = f"cluster.rollout_engine.kv_cache_memory_bytes={options.kv_bytes}"
    # vLLM captures graphs for as many requests as may run.
    most = f"engine.actor_rollout_ref.rollout.max_num_seqs={options.prompts * options.samples}"
    return ["cluster.device=gpu", "cluster.rollout_gpu_share=0.3", cache, most]


class Stages:
    """Runs of the command, with logs and ends in OUT."""

    def __init__(self, options: argparse.Namespace, begun: float) -> None:
        self.options, self.out, self.begun = options, options.out.resolve(), begun
        self.lines: list[str] = []

    @property
    def left(self) -> float:
        return self.options.seconds - (time.monotonic() - self.begun)

    def all(self) -> None:
        """The stages that have steps left: at once and in turn, or one after the other."""
        for name in self.options.order:
            self.copy(name)
        names = [name for name in self.options.order if not self.done(name) and self.policy(name).is_dir()]
        if self.left < LEAST or not names:
            return
        if not self.options.apart:
            self.together(names, min(self.left, self.options.stage_seconds * len(names)))
            return
        for number, name in enumerate(names):
            self.together([name], min(self.left / (len(names) - number), self.options.stage_seconds))

    def done(self, name: str) -> bool:
        path = self.out / f"{name}-{METRICS}"
        return path.is_file() and sum(row.is_training for row in read_metrics(path)) >= self.options.steps

    def together(self, names: list[str], seconds: float) -> None:
        """Stages that start at once and step in turn, until ``seconds`` are over."""
        begun, arbiter = time.monotonic(), Arbiter(self.out / "turns", names)
        running = {name: self.start(name) for name in names}
        try:
            while alive := [name for name, process in running.items() if process.poll() is None]:
                if arbiter.grant(alive):
                    for name in names:
                        self.copy(name)
                if time.monotonic() - begun > seconds:
                    break
                time.sleep(POLL)
        finally:
            arbiter.stop()
            end_all(list(running.values()))
            for name, process in running.items():
                self.keep(name, process.returncode, time.monotonic() - begun)

    def start(self, name: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "judgerlvr.stage2_generate", "--config", str(self.out / "defaults.yaml")]
        ends = ["--init", str(self.policy(name)), "--out", str(self.out / "trained" / name)]
        told = {
            FOLDER: str(self.out / "turns"),
            NAME: name,
            PROMPTS: str(self.options.prompts),
            RUN: str(self.out / "runs" / name),
        }
        with (self.out / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [*command, *keys(self.options), f"name={name}", *ends],
                stdout=log,
                stderr=log,
                env=os.environ | told,
                start_new_session=True,
            )

    def policy(self, name: str) -> Path:
        return self.out / "policies" / name

    def copy(self, name: str) -> None:
        """Copy metrics and log out of the run folder. A resumed run would cut unsealed steps."""
        folder = self.out / "runs" / name
        for file in (METRICS, ENGINE_LOG):
            if (folder / file).is_file() and (file != METRICS or longer(folder / file, self.out / f"{name}-{file}")):
                shutil.copy(folder / file, self.out / f"{name}-{file}")

    def keep(self, name: str, code: int, seconds: float) -> None:
        """Say how a stage ended, and copy what the stage wrote."""
        self.copy(name)
        lines = [line for line in (self.out / f"{name}.log").read_text(errors="replace").splitlines() if line.strip()]
        ends = [line for line in lines if line.startswith(("done:", "error:"))] or lines
        self.lines.append(f"{name}: exit code {code} after {seconds:.0f} s: {' '.join(ends[-1:])[:300]}")
        print(self.lines[-1], flush=True)


def longer(new: Path, kept: Path) -> bool:
    return not kept.is_file() or len(read_metrics(new)) >= len(read_metrics(kept))


def end_all(processes: list[subprocess.Popen[bytes]]) -> None:
    """Wait for all processes. Processes still running get TERM after a grace, and sessions KILL after another."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        until = time.monotonic() + GRACE
        while any(process.poll() is None for process in processes) and time.monotonic() < until:
            time.sleep(POLL)
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, sign)
    for process in processes:
        process.wait()
