"""Both stages with a `small` HySparse policy on one GPU: three steps of each, and a run that is killed and resumed.

    python -m benchmarks.stages.gpu_stages OUT_DIR [key=value ...]

The benchmark trains a policy of 100 M parameters on the tiny world for seconds. Two chains then run side by side, each
with its own Ray: judging followed by generation, and judging that is killed after its second step and resumed.
OUT_DIR/gpu-stages.md gives the samples of each step, the difference of rollout and trainer, and the time of each part.
The runs lie in OUT_DIR/runs. Configuration keys given here go to every stage.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.hysparse.kernels.table import heading
from benchmarks.stages.gpu_policy import DEVICE, make_policy, write_candidates
from judgerlvr.runs.checkpoints import complete
from judgerlvr.runs.metrics import METRICS, read_metrics

SHOWN = (
    "response/accuracy",
    "response/mean_tokens",
    "actor/grad_norm",
    "hysparse/",
    "rollout_corr/k3_kl",
    "training/rollout_probs_diff_mean",
    "training/rollout_probs_diff_max",
    "timing_s/",
)
KILLED_AFTER = 2  # checkpoints
ON_GPU = ["cluster.rollout_gpu_share=0.2", "cluster.rollout_engine.kv_cache_memory_bytes=4000000000"]
COMMON = [
    "--config=configs/tiny.yaml",
    f"cluster.device={'gpu' if DEVICE == 'cuda' else 'cpu'}",
    "logging.tensorboard=false",
    "cluster.micro_batch_tokens=8192",
    "data.tiny_train=400",
    "data.tiny_heldout=40",
    "judge.data.heldout_problems=5",
    # All three steps must be seen, whatever their metrics are.
    *(f"guards.{guard}.action=warn" for guard in ("mismatch", "constant_verdicts", "zero_rewards")),
    *(
        f"{stage}.batch.{size}=8"
        for stage in ("judge", "generate")
        for size in ("prompts_per_step", "samples_per_prompt")
    ),
    *(ON_GPU if DEVICE == "cuda" else []),
]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--policy", type=Path, help="use this policy and train none")
    parser.add_argument(
        "--seconds", type=float, default=40, help="seconds of the policy's training, with compilation of kernels"
    )
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--tiny", action="store_true", help="a policy for a CPU")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    return parser.parse_args()


class Stages:
    """Commands of the stages with their logs in OUT_DIR."""

    def __init__(self, options: argparse.Namespace, policy: Path) -> None:
        self.out, self.steps = options.out.resolve(), options.steps
        given = [f"model.path={policy}", f"judge.data.responses=[{self.out / 'candidates.jsonl'}]"]
        self.common = [*COMMON, *given, f"runs={self.out / 'runs'}", *options.overrides]
        self.lines: list[str] = []

    def start(self, name: str, stage: str, *arguments: str) -> subprocess.Popen[bytes]:
        """A stage in a process group of its own, so that a kill reaches everything that the stage started."""
        command = [sys.executable, "-m", f"judgerlvr.{stage}", *arguments]
        with (self.out / f"{name}.log").open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def run(self, name: str, stage: str, *arguments: str) -> bool:
        begun = time.monotonic()
        code = self.start(name, stage, *arguments).wait()
        self.say(f"{name}: exit code {code} after {time.monotonic() - begun:.0f} s")
        return code == 0

    def fresh(self, name: str, key: str, *arguments: str) -> list[str]:
        return [*self.common, f"name={name}", f"{key}.stop.steps={self.steps}", "--out", self.policy(name), *arguments]

    def policy(self, name: str) -> str:
        return str(self.out / "policies" / name)

    def both_stages(self) -> None:
        """Judging, and generation from its policy."""
        if self.run("judge", "stage1_judge", *self.fresh("judge", "judge")):
            arguments = self.fresh("generate", "generate", "--init", self.policy("judge"))
            self.run("generate", "stage2_generate", *arguments)

    def killed_and_resumed(self) -> None:
        """Judging that saves each step, is killed when the second step is saved, and is then resumed to its end."""
        process = self.start("killed", "stage1_judge", *self.fresh("killed", "judge", "judge.checkpoint.every=1"))
        folder = self.out / "runs" / "killed"
        while process.poll() is None and len(complete(folder / "checkpoints")) < KILLED_AFTER:
            time.sleep(0.2)
        self.say(f"killed: {len(steps_of(folder))} steps in its metrics, exit code before that {process.poll()}")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.run("resumed", "stage1_judge", "--resume", str(folder), "--out", self.policy("killed"))

    def say(self, line: str) -> None:
        self.lines.append(line)
        print(line, flush=True)


def steps_of(run: Path) -> list[dict[str, Any]]:
    """Rows of the run's metrics that are steps."""
    return [row for row in read_metrics(run / METRICS) if "response/mean_tokens" in row]


def table(run: Path) -> list[str]:
    """Metrics by step."""
    rows = steps_of(run)
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name.startswith(SHOWN)]
    lines = ["", f"## {run.name}", "", "| metric |" + "".join(f" {row['step']} |" for row in rows)]
    lines.append("| --- |" + " --- |" * len(rows))
    return lines + [f"| {name} |" + "".join(f" {row.get(name, float('nan')):.4g} |" for row in rows) for name in names]


def main() -> int:
    options = parse_arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    policy = (options.policy or options.out / "policy").resolve()
    if options.policy is None:
        make_policy(policy, options)
    write_candidates(options.out / "candidates.jsonl", problems=200)
    stages = Stages(options, policy)
    chains = [threading.Thread(target=chain) for chain in (stages.both_stages, stages.killed_and_resumed)]
    for chain in chains:
        chain.start()
    for chain in chains:
        chain.join()
    lines = [f"{name}: {value}  " for name, value in heading().items()] + ["", *stages.lines]
    for run in sorted((stages.out / "runs").glob("*/")):
        lines += table(run)
    (options.out / "gpu-stages.md").write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
