"""Figures of the two runs: speed of their steps, slope of their reward, and the requests that equal bytes hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student

from benchmarks.hysparse.cache_groups import cache_groups
from benchmarks.hysparse.long_rl.equal import NORMAL
from data.jsonl import read_jsonl
from judgerlvr.evaluation.intervals import wilson_ends
from judgerlvr.hysparse.model.config import HySparseConfig
from judgerlvr.runs.metrics import MEAN_TOKENS, REWARD, StepRow

SAVE = "save_checkpoint"
PARTS = ("gen", "old_log_prob", "update_actor", "update_weights", SAVE, "step")
BYTES = 2  # of a cached number


@dataclass(frozen=True)
class Group:
    """Samples behind a step's reward. ``agreement`` is the correlation of two responses to one problem."""

    prompts: int
    samples: int
    agreement: float

    @property
    def worth(self) -> float:
        """Independent responses that a step's responses are worth."""
        return self.prompts * self.samples / (1 + (self.samples - 1) * self.agreement)


@dataclass(frozen=True)
class Step:
    """One step. Seconds are by part. ``tokens`` counts prompts and responses of all samples."""

    number: int
    clock: float  # seconds of all steps up to the end of this step, waits left out
    reward: float
    low: float
    high: float
    response_tokens: float
    tokens: float
    seconds: dict[str, float]
    first: bool  # of a process


def agreement_of(accuracy: dict[str, Any]) -> float:
    """Of two responses to a problem, from the spread of the problems' accuracies before RL."""
    mean, variance = accuracy["sampled"], accuracy["problems"] * accuracy["sampled_error"] ** 2
    return min(1.0, variance / max(mean * (1 - mean), 1e-9))


@dataclass(frozen=True)
class Wait:
    """Seconds that a step waited for its turn. ``first`` marks the first step of a process, which compiles kernels."""

    seconds: float
    first: bool


def waits_of(path: Path) -> dict[int, Wait]:
    """Waits by step. A step that a resumed run repeats has the last wait."""
    rows = read_jsonl(path, torn_last_line=True) if path.is_file() else []
    return {row["step"]: Wait(row["granted"] - row["asked"], row["first"]) for row in rows}


def steps_of(rows: Sequence[StepRow], group: Group, waits: dict[int, Wait]) -> list[Step]:
    """Training steps. The wait for a turn is taken from the step's seconds."""
    steps, clock = [], 0.0
    for row in (row for row in rows if row.is_training):
        seconds = {part: row.values.get(f"timing_s/{part}", 0.0) for part in PARTS}
        wait = waits.get(row.step, Wait(0.0, row.step == 1))
        seconds["step"] -= wait.seconds
        clock += seconds["step"]
        low, high = wilson_ends(row[REWARD] * group.worth, group.worth)
        tokens = row.values.get("perf/total_num_tokens", math.nan)
        steps.append(Step(row.step, clock, row[REWARD], low, high, row[MEAN_TOKENS], tokens, seconds, wait.first))
    return steps


def rate(steps: Sequence[Step], part: str) -> float:
    """Tokens per second of a part over all steps but first ones."""
    later = [step for step in steps if not step.first]
    seconds = sum(step.seconds[part] for step in later)
    return sum(step.tokens for step in later) / seconds if seconds else math.nan


def mean_seconds(steps: Sequence[Step], part: str) -> float:
    """Mean seconds of a part over all steps but first ones."""
    later = [step.seconds[part] for step in steps if not step.first]
    return float(np.mean(later)) if later else math.nan


@dataclass(frozen=True)
class Ratio:
    """Tokens per second of one run over another, with the bounds of its interval of 95 %."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def pairs(one: Sequence[Step], two: Sequence[Step], left_out: int) -> list[tuple[Step, Step]]:
    """Steps of one number. A first step of a process is left out, and so are the steps behind it up to ``left_out``."""
    firsts = {step.number for step in (*one, *two) if step.first}
    others = {step.number: step for step in two}
    return [
        (step, others[step.number])
        for step in one
        if step.number in others and firsts.isdisjoint(range(step.number - left_out + 1, step.number + 1))
    ]


def spent(step: Step, part: str) -> float:
    """Seconds of a part. The whole step comes without its checkpoint, because few steps have one."""
    return step.seconds[part] - (step.seconds[SAVE] if part == "step" else 0.0)


def paired_rate(found: Sequence[tuple[Step, Step]], part: str) -> Ratio:
    """Tokens per second of all first steps of the pairs over those of all second steps.

    The interval is Student's t over pairs, of what a pair's seconds miss the common ratio by.
    """
    tokens = sum(one.tokens for one, _ in found) / sum(two.tokens for _, two in found)
    mine, other = (np.array([spent(pair[side], part) for pair in found]) for side in (0, 1))
    value = float(tokens * other.sum() / mine.sum())
    if len(found) < 2:
        return Ratio(value, -math.inf, math.inf)
    error = float((tokens * other - value * mine).std(ddof=1) / mine.mean()) / math.sqrt(len(found))
    half = float(student.ppf(0.975, len(found) - 1)) * error
    return Ratio(value, value - half, value + half)


def slope(steps: Sequence[Step], group: Group) -> tuple[float, float]:
    """Reward gained in a step, and the half width of its interval, by least squares.

    The error of each reward is the largest possible error, the error of a reward of one half.
    """
    if len(steps) < 3:
        return math.nan, math.nan
    numbers = np.array([step.number for step in steps], dtype=float)
    rewards = np.array([step.reward for step in steps])
    centred = numbers - numbers.mean()
    spread = float((centred**2).sum())
    return float((centred * rewards).sum()) / spread, NORMAL * 0.5 / math.sqrt(group.worth * spread)


def seconds_of(steps: Sequence[Step]) -> float:
    """Seconds of all steps but first ones."""
    return sum(step.seconds["step"] for step in steps if not step.first)


def token_bytes(config: HySparseConfig) -> int:
    """Bytes of KV cache that a token keeps until the end of the request. Windows keep the last tokens only."""
    rows = [row for row in config.rows if row.full]
    return sum(row.kv_heads * (row.key_dim + row.value_dim) * BYTES for row in rows)


def held(config: HySparseConfig, tokens: int, cache: int, two_kinds: bool = False) -> float:
    """Prompts of ``tokens`` tokens that ``cache`` bytes hold, by arithmetic. Samples of a prompt share its cache.

    ``two_kinds`` counts by the groups of the records up to 2026-11-30, see ``cache_groups``.
    """
    groups = cache_groups(config, two_kinds)
    kept = groups.full * tokens + groups.windows * (config.sliding_window or 0)
    return cache / (groups.layers * token_bytes(config) / len(config.full_layers) * kept)
