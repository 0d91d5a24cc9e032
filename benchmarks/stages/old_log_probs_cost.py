"""What the trainer's pass for old log-probabilities costs beside the updates, in processor seconds of one process.

    python -m benchmarks.stages.old_log_probs_cost RUN [--rounds 5]

RUN is the folder of a run of the tiny configuration, whose logged samples are the batch. The pass and the updates are
those of the product's engine on a CPU with shared prefixes, without Ray and vLLM. An update holds a quarter of the
samples. A round is one pass and four updates. The command prints the seconds of each round, and the ratio of the sums.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from judgerlvr.config.load import load_config
from judgerlvr.engine.devices import TRAINING
from judgerlvr.engine.verl_config import WIDER
from judgerlvr.models.directory import load_tokenizer
from judgerlvr.runs.rollout_log import ROLLOUTS, read_steps
from judgerlvr.tinyworld.making.checkpoint import base_path
from tests.helpers.training_engines import batch_from, gradients_of, log_probs_of, make_engine, one_process

UPDATES = 4
TOKENS = load_config("configs/tiny.yaml").cluster.micro_batch_tokens


def samples(run: Path, model: Path) -> list[Tensor]:
    """Token ids [tokens] of prompt and response of each logged sample."""
    tokenizer = load_tokenizer(model)
    texts = [rollout.prompt + rollout.response for rollout in read_steps(run / ROLLOUTS)]
    return [torch.tensor(tokenizer.encode(text, add_special_tokens=False)) for text in texts]


def seconds(work: Callable[[], Any]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def measure(engine: Any, sequences: list[Tensor], rounds: int) -> list[tuple[float, float]]:
    """(seconds of a pass, seconds of the updates) of each round, behind one round that does not count."""
    step = len(sequences) // UPDATES
    whole = batch_from(sequences, TOKENS * WIDER)
    parts = [batch_from(sequences[start : start + step], TOKENS) for start in range(0, step * UPDATES, step)]
    found = []
    for _ in range(rounds + 1):
        one_pass = seconds(lambda: log_probs_of(engine, whole))
        found.append((one_pass, sum(seconds(lambda part=part: gradients_of(engine, part)) for part in parts)))
    return found[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    model = base_path("qwen3_moe")
    sequences = samples(options.run, model)
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder, one_process():
        shutil.copytree(model, Path(folder) / "policy")
        found = measure(make_engine(Path(folder) / "policy", TRAINING), sequences, options.rounds)
    print(f"{len(sequences)} samples, {sum(map(len, sequences))} tokens, load {os.getloadavg()[0]:.1f}")
    for one_pass, updates in found:
        print(f"pass {one_pass:.2f}, {UPDATES} updates {updates:.2f}")
    print(f"ratio of the sums {sum(one for one, _ in found) / sum(updates for _, updates in found):.3f}")


if __name__ == "__main__":
    main()
