"""The base: one model trained on traces of the world, solving and judging side by side, every batch fresh."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.lab.adam import Adam, AdamConfig
from benchmarks.lab.model import (
    Shape,
    Weights,
    cast,
    compute_type,
    initial_weights,
    next_token_logits,
    rotary_table,
    trainable,
)
from benchmarks.lab.objective import token_logprobs
from benchmarks.lab.worlds.base import Traces, World

LAST_RATE = 0.05  # of the first, at the end of the cosine
WARMUP = 30
BATCHES = 8  # steps whose traces are drawn together, since drawing costs launches and not arithmetic


@dataclass(frozen=True)
class SftConfig:
    steps: int = 2000
    rows: int = 384  # solving traces a step, and as many judging traces
    rate: float = 1e-3
    seed: int = 0


def train_base(
    shape: Shape, world: World, config: SftConfig, device: torch.device, say: Callable[[str], None] = print
) -> Weights:
    """Float32 weights of one model, leading axis 1."""
    draw = torch.Generator(device=device).manual_seed(1009 * config.seed + 17)
    weights = trainable(initial_weights(shape, [config.seed], device))
    rates = torch.full((1,), config.rate, device=device)
    adam = Adam(weights, rates, AdamConfig(second=0.98, decay=0.01))
    longest = max(world.prompt_length + world.response_limit, world.judge_prompt_length + world.judge_limit)
    table = rotary_table(longest, shape.head_width, device, compute_type(device))
    batches: list[list[Written]] = []
    for step in range(config.steps):
        batches = batches or draw_batches(world, config.rows, draw)
        loss = batch_loss(shape, weights, table, batches.pop())
        loss.backward()
        adam.step(schedule(step, config.steps))
        if step % 200 == 0 or step == config.steps - 1:
            say(f"sft step {step} loss {loss.item():.4f}")
    return {name: value.detach() for name, value in weights.items()}


@dataclass(frozen=True)
class Written:
    """Prompts [N, P], responses and the mask of tokens that carry loss [N, T]."""

    prompt: Tensor
    tokens: Tensor
    own: Tensor


def draw_batches(world: World, rows: int, draw: torch.Generator) -> list[list[Written]]:
    """``BATCHES`` batches, each of ``rows`` solving and ``rows`` judging traces."""
    problems = world.problems(rows * BATCHES, draw)
    traces = world.solve_traces(problems, draw)
    solving = _batches(world.prompt(problems), traces, ~world.by_world(traces.tokens), rows)
    problems = world.problems(rows * BATCHES, draw)
    candidate = world.candidates(problems, draw)
    traces = world.judge_traces(problems, candidate, draw)
    everything = torch.ones_like(traces.tokens, dtype=torch.bool)
    judging = _batches(world.judge_prompt(problems, candidate), traces, everything, rows)
    return [list(pair) for pair in zip(solving, judging, strict=True)]


def _batches(prompt: Tensor, traces: Traces, own: Tensor, rows: int) -> list[Written]:
    own = own & (torch.arange(own.shape[1], device=own.device) < traces.lengths[:, None])
    return [
        Written(*parts) for parts in zip(prompt.split(rows), traces.tokens.split(rows), own.split(rows), strict=True)
    ]


def batch_loss(shape: Shape, weights: Weights, table: tuple[Tensor, Tensor], batch: list[Written]) -> Tensor:
    """Mean cross entropy over the tokens that the policy writes in one batch of both modes."""
    used = cast(weights, table[0].dtype)
    losses = [trace_loss(shape, used, table, written) for written in batch]
    return torch.stack([loss for loss, _ in losses]).sum() / torch.stack([tokens for _, tokens in losses]).sum()


def trace_loss(shape: Shape, weights: Weights, table: tuple[Tensor, Tensor], written: Written) -> tuple[Tensor, Tensor]:
    """(summed cross entropy, tokens counted)."""
    ids = torch.cat((written.prompt, written.tokens), 1)[None]
    logits = next_token_logits(shape, weights, ids[..., :-1], table, written.prompt.shape[1])
    losses = -token_logprobs(logits, written.tokens[None])[0]
    return (losses * written.own).sum(), written.own.sum()


def schedule(step: int, steps: int) -> float:
    """Warm-up, then a cosine that ends at ``LAST_RATE``."""
    cosine = LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * step / steps))
    return min(1.0, (step + 1) / WARMUP) * cosine
