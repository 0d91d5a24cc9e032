"""The two distributions of lengths, and the keys of a run."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

MODES = ("sync", "colocate_async")
GUARDS = ("mismatch", "zero_rewards", "truncation", "entropy_ceiling", "entropy_floor", "length_drift", "reward_drop")


@dataclass(frozen=True)
class Tail:
    """``mean`` tokens before the cut at ``limit``. Each token ends a response with the same chance."""

    name: str
    mean: int
    limit: int


# Geometric lengths have a 99th percentile of 4.6 means. The cut at 0.87 means leaves 1.5.
TAILS = {tail.name: tail for tail in (Tail("long", 300, 4096), Tail("short", 1177, 1024))}
TINY_TAILS = {tail.name: tail for tail in (Tail("long", 24, 256), Tail("short", 110, 96))}


def keys(options: argparse.Namespace, tail: Tail, mode: str) -> list[str]:
    """Keys of a run. The rate is small, so that lengths stay as they were made."""
    work = options.work
    return [
        f"model.path={work / tail.name / 'policy'}",
        f"data.train=[{work / tail.name / 'problems.jsonl'}]",
        "reward.verifier=benchmarks.stages.real_shapes:pay_by_hash",
        f"runs={work / 'runs'}",
        f"name={tail.name}-{mode}",
        f"cluster.trainer_mode={mode}",
        "logging.tensorboard=false",
        "logging.rollouts_per_step=16",
        f"generate.max_response_tokens={tail.limit}",
        f"generate.stop.steps={options.rounds}",
        "generate.optimizer.lr=1e-7",
        "generate.algorithm.dynamic_sampling=false",
        f"generate.checkpoint.every={10 * options.rounds}",
        "engine.data.custom_cls.path=pkg://benchmarks.stages.flowing.gate",
        "engine.data.custom_cls.name=GatedHandover",
        *(f"guards.{name}.action=warn" for name in GUARDS),
        *options.overrides,
    ]
