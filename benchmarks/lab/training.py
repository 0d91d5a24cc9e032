"""Reinforcement learning of one octet: all runs of one arm side by side, from the same base."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from benchmarks.lab.adam import Adam
from benchmarks.lab.arms import MIXED_PART, Arm, Stage, StepKind
from benchmarks.lab.checks import learnt
from benchmarks.lab.evaluation import CurvePoint, Evaluator, Point, flat, tile
from benchmarks.lab.judge_pool import Pool, sample_pool
from benchmarks.lab.model import Shape, Weights, cast, compute_type, next_token_logits, rotary_table, trainable
from benchmarks.lab.objective import Clip, group_advantages, policy_loss, token_logprobs
from benchmarks.lab.sampler import Sampler, Samples
from benchmarks.lab.worlds.base import World, grade_verdicts, repeat

FRESH_SEED = 90_001
WARMUP = 8  # updates over which a stage's rate rises
CHUNK_ROWS = 96  # rows a run in one forward: sorted by length, so that a chunk pads little


@dataclass(frozen=True)
class RlConfig:
    """Batches and optimiser of both stages. A judging step has about as many tokens as a generating step."""

    prompts: int = 64
    judge_prompts: int = 128
    group: int = 16
    updates: int = 4
    evaluate_every: int = 10
    pool: int = 4096
    pool_rounds: int = 60
    heldout_pairs: int = 512
    clip: Clip = field(default_factory=Clip)


@dataclass
class Octet:
    """What is recorded of one arm: a curve and per-step figures for each run."""

    curves: list[list[CurvePoint]]
    steps: list[dict]
    complete: bool = False
    seconds: float = 0.0
    candidate_tokens: int = 0


@dataclass(frozen=True)
class Batch:
    """Prompts [R, n, P], B / n samples of each, and [R, B]: advantages, samples that carry loss, and right answers."""

    prompts: Tensor
    samples: Samples
    advantages: Tensor
    used: Tensor
    accuracy: Tensor

    def figures(self) -> dict[str, Tensor]:
        """What a step records of the batch, each [R]."""
        lengths = self.samples.lengths
        return {
            "accuracy": self.accuracy.mean(1),
            "tokens": lengths.float().mean(1),
            "sampled": lengths.sum(1).float(),
            "used": self.used.float().mean(1),
            "entropy": self.samples.entropy,
        }


class Trainer:
    """Samplers and settings shared by all arms of a cell. ``seeds`` runs at each of ``rates``, rates outermost."""

    def __init__(
        self, shape: Shape, world: World, config: RlConfig, seeds: int, rates: tuple[float, ...], device: torch.device
    ) -> None:
        self.shape, self.world, self.config, self.seeds, self.device = shape, world, config, seeds, device
        self.runs = seeds * len(rates)
        self.rates = torch.tensor(rates, device=device).repeat_interleave(seeds)
        rows, judge_rows = config.prompts * config.group, config.judge_prompts * config.group
        self.solver = Sampler(shape, world, self.runs, rows, False, device)
        self.judger = Sampler(shape, world, self.runs, judge_rows, True, device)
        self.smaller: dict[tuple[int, bool], Sampler] = {}
        places = max(self.solver.places, self.judger.places)
        self.table = rotary_table(places, shape.head_width, device, compute_type(device))

    def train(
        self,
        arm: Arm,
        base: Weights,
        pool: Pool,
        evaluator: Evaluator,
        seed: int,
        deadline: float,
        say: Callable[[str], None] = print,
    ) -> Octet:
        """Run the arm from ``base`` [R, ...]. At the ``deadline`` (time.monotonic) an incomplete octet is returned."""
        began, weights = time.monotonic(), trainable(base)
        octet = Octet([[] for _ in range(self.runs)], [])
        tokens, done, total = torch.zeros(self.runs, device=self.device), 0, sum(s.steps for s in arm.stages)
        self._record(octet, evaluator.points(base, False), 0, "base", tokens, arm, began, say)
        planned = 0
        for index, stage in enumerate(arm.stages):
            adam = Adam(weights, self.rates)
            planned += stage.steps
            pool = self.resample(arm, weights, pool, index) if stage.fresh else pool
            octet.candidate_tokens = pool.tokens
            for step in range(planned - done):
                if time.monotonic() > deadline:
                    octet.seconds = time.monotonic() - began
                    return octet
                kind = stage.kind(step)
                figures = self.step(arm, kind, weights, adam, pool, 100003 * seed + done)
                tokens, done = tokens + figures["sampled"], done + 1
                octet.steps.append({"step": done, "kind": str(kind), **{k: rounded(v) for k, v in figures.items()}})
                if done % (stage.every or self.config.evaluate_every) == 0 or done == planned:
                    last = total - done <= 2 * self.config.evaluate_every
                    points = evaluator.points(weights, last)
                    self._record(octet, points, done, f"{index + 1}-{kind}", tokens, arm, began, say)
                    if taught(stage, points) or dulled(stage, points, octet.curves):
                        break
        octet.complete, octet.seconds = True, time.monotonic() - began
        return octet

    def resample(self, arm: Arm, weights: Weights, pool: Pool, seed: int) -> Pool:
        """As many candidates as ``pool`` has, sampled from all runs as they are now. Tokens add up."""
        config, now = self.config, {name: value.detach() for name, value in weights.items()}
        fresh = sample_pool(
            self.world, self.solver, now, config.group, len(pool), FRESH_SEED + seed, config.pool_rounds, arm.hard
        )
        return replace(fresh, tokens=pool.tokens + fresh.tokens)

    def step(self, arm: Arm, kind: StepKind, weights: Weights, adam: Adam, pool: Pool, seed: int) -> dict[str, Tensor]:
        """Sample, reward, update. Problems depend on the seed and not on the arm."""
        draw = torch.Generator(device=self.device).manual_seed(seed)
        if kind is StepKind.MIXED:
            return self._mixed_step(arm, weights, adam, pool, draw)
        if kind is StepKind.GENERATE:
            batch = self._batch(kind, *self.generate(arm, weights, draw))
        else:
            batch = self._batch(kind, *self.judge(kind, weights, pool, draw))
        return self.update(weights, adam, [batch], draw) | batch.figures()

    def _mixed_step(
        self, arm: Arm, weights: Weights, adam: Adam, pool: Pool, draw: torch.Generator
    ) -> dict[str, Tensor]:
        """One update from both kinds of samples. A part of a step's problems gives way to the same part of judging."""
        solving = self.config.prompts - part_of(self.config.prompts)
        judging = part_of(self.config.judge_prompts)
        solved = self._batch(StepKind.GENERATE, *self.generate(arm, weights, draw, solving))
        judged = self._batch(StepKind.JUDGE, *self.judge(StepKind.JUDGE, weights, pool, draw, judging))
        figures = self.update(weights, adam, [solved, judged], draw) | solved.figures()
        more = {f"judge_{name}": values for name, values in judged.figures().items()}
        return figures | more | {"sampled": figures["sampled"] + more["judge_sampled"]}

    def _batch(self, kind: StepKind, prompts: Tensor, samples: Samples, rewards: Tensor, accuracy: Tensor) -> Batch:
        if kind is StepKind.JUDGE_SFT:
            advantages, used = rewards, rewards > 0
        else:
            advantages, used = group_advantages(rewards, self.config.group)
        return Batch(prompts, samples, advantages, used & samples.ended, accuracy)

    def generate(
        self, arm: Arm, weights: Weights, draw: torch.Generator, count: int | None = None
    ) -> tuple[Tensor, Samples, Tensor, Tensor]:
        """The first ``count`` problems of the step, or all of them."""
        count = count or self.config.prompts
        problems = self.world.problems(self.seeds * self.config.prompts, draw)
        problems = {
            name: value.unflatten(0, (self.seeds, -1))[:, :count].flatten(0, 1) for name, value in problems.items()
        }
        problems = tile(problems, self.runs // self.seeds)
        prompts = self.world.prompt(problems).unflatten(0, (self.runs, -1))
        samples = self._sampler(count, judging=False).run(weights, prompts, draw)
        grades = self.world.grade(repeat(problems, self.config.group), flat(samples))
        right = grades.right.view_as(samples.lengths).float()
        return prompts, samples, penalised(arm, right, samples.lengths, self.config.group), right

    def judge(
        self, kind: StepKind, weights: Weights, pool: Pool, draw: torch.Generator, count: int | None = None
    ) -> tuple[Tensor, Samples, Tensor, Tensor]:
        """``count`` judge prompts, or as many as the kind has."""
        count = count or (self.config.prompts if kind is StepKind.JUDGE_FEW else self.config.judge_prompts)
        sampler = self._sampler(count, judging=True)
        problems, candidates, labels = pool.draw(self.seeds * count, draw)
        prompts = self.world.judge_prompt(problems, candidates).repeat(self.runs // self.seeds, 1)
        prompts, labels = prompts.unflatten(0, (self.runs, -1)), labels.repeat(self.runs // self.seeds)
        samples = sampler.run(weights, prompts, draw)
        truth = grade_verdicts(labels.repeat_interleave(self.config.group), flat(samples)).view_as(samples.lengths)
        if kind is not StepKind.JUDGE_SHUFFLED:
            return prompts, samples, truth, truth
        coins = torch.rand(labels.shape, generator=draw, device=self.device) < 0.5
        rewards = grade_verdicts(coins.repeat_interleave(self.config.group), flat(samples)).view_as(truth)
        return prompts, samples, rewards, truth

    def update(
        self, weights: Weights, adam: Adam, batches: Sequence[Batch], draw: torch.Generator
    ) -> dict[str, Tensor]:
        """``updates`` optimiser steps over the used rows of all batches, each row once. Returns figures [R]."""
        orders = [self._order(batch.used, draw) for batch in batches]
        most = [int(batch.used.sum(1).max()) for batch in batches]
        figures = {
            "gradient": torch.zeros(self.runs, device=self.device),
            "moved": torch.zeros(self.runs, device=self.device),
        }
        for part in range(min(self.config.updates, max(most))):
            rows = [order[:, part : end : self.config.updates] for order, end in zip(orders, most, strict=True)]
            tokens = sum(
                (tokens_of(*pair) for pair in zip(batches, rows, strict=True)), torch.zeros_like(orders[0][:, 0])
            )
            for batch, own in zip(batches, rows, strict=True):
                self._backward_all(weights, batch, own, tokens.clamp_min(1), figures)
            scale = min(1.0, (adam.steps + 1) / WARMUP)
            figures["gradient"] += adam.step(scale, tokens > 0) / self.config.updates
        return figures

    def _order(self, used: Tensor, draw: torch.Generator) -> Tensor:
        """Rows [R, B] by chance, used rows first."""
        return (torch.rand(used.shape, generator=draw, device=self.device) + 2.0 * ~used).argsort(1)

    def _backward_all(
        self, weights: Weights, batch: Batch, rows: Tensor, tokens: Tensor, figures: dict[str, Tensor]
    ) -> None:
        """Gradients of a batch's rows [R, n], chunk by chunk. ``tokens`` [R] are those of the whole update."""
        rows, mask = self._by_length(batch.samples, rows, batch.used.gather(1, rows))
        for chunk, kept in zip(rows.split(CHUNK_ROWS, 1), mask.split(CHUNK_ROWS, 1), strict=True):
            if chunk.shape[1]:
                self._backward(weights, batch, chunk, kept, tokens, figures)

    def _by_length(self, samples: Samples, rows: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        order = samples.lengths.gather(1, rows).argsort(1)
        return rows.gather(1, order), mask.gather(1, order)

    def _backward(
        self,
        weights: Weights,
        batch: Batch,
        rows: Tensor,
        kept: Tensor,
        tokens: Tensor,
        figures: dict[str, Tensor],
    ) -> None:
        prompts, samples = batch.prompts, batch.samples
        longest = int(samples.lengths.gather(1, rows).max())
        share = samples.lengths.shape[1] // prompts.shape[1]
        response = rows_of(samples.tokens, rows, longest)
        ids = torch.cat((rows_of(prompts, rows // share, prompts.shape[2]), response), -1)
        own = rows_of(samples.own, rows, longest) & kept[..., None]
        old = rows_of(samples.logprobs, rows, longest)
        logits = next_token_logits(
            self.shape, cast(weights, compute_type(self.device)), ids[..., :-1], self.table, prompts.shape[2]
        )
        new = token_logprobs(logits, response)
        loss = policy_loss(new, old, batch.advantages.gather(1, rows), own, tokens, self.config.clip)
        loss.sum().backward()
        figures["moved"] += ((new.detach() - old).abs() * own).sum((1, 2)) / tokens / self.config.updates

    def _sampler(self, prompts: int, judging: bool) -> Sampler:
        """A sampler of so many prompts a run, made when a step first needs it."""
        if prompts == (self.config.judge_prompts if judging else self.config.prompts):
            return self.judger if judging else self.solver
        if (prompts, judging) not in self.smaller:
            rows = prompts * self.config.group
            self.smaller[prompts, judging] = Sampler(self.shape, self.world, self.runs, rows, judging, self.device)
        return self.smaller[prompts, judging]

    def _record(
        self,
        octet: Octet,
        points: list[Point],
        step: int,
        stage: str,
        tokens: Tensor,
        arm: Arm,
        began: float,
        say: Callable[[str], None],
    ) -> None:
        seconds = round(time.monotonic() - began, 1)
        for curve, point, sampled in zip(octet.curves, points, tokens.tolist(), strict=True):
            curve.append({"step": step, "stage": stage, "sampled_tokens": sampled, "seconds": seconds, **point})
        show = lambda name: " ".join(f"{point[name]:.2f}" for point in points)  # noqa: E731
        lengths = " ".join(f"{point['tokens']:.0f}" for point in points)
        accuracy, none = show("accuracy"), show("none_accuracy")
        say(f"{arm.name} {step} {stage} {seconds:.0f}s accuracy {accuracy} tokens {lengths} none {none}")


def taught(stage: Stage, points: list[Point]) -> bool:
    """Whether the stage ends because enough runs have learnt enough."""
    if stage.until_learnt is None:
        return False
    reached = sum(learnt(point) >= stage.until_learnt for point in points)
    return reached >= stage.share_of_runs * len(points)


def dulled(stage: Stage, points: list[Point], curves: list[list[CurvePoint]]) -> bool:
    """Whether the stage ends because enough runs have lost enough of the base's entropy."""
    if stage.until_entropy is None:
        return False
    shares = [point["entropy"] / curve[0]["entropy"] for point, curve in zip(points, curves, strict=True)]
    return sum(share <= stage.until_entropy for share in shares) >= stage.share_of_runs * len(shares)


def part_of(prompts: int) -> int:
    """The prompts of a mixed step that a whole step of a kind with ``prompts`` prompts stands for."""
    return max(1, round(MIXED_PART * prompts))


def tokens_of(batch: Batch, rows: Tensor) -> Tensor:
    """Own tokens [R] of the used samples among rows [R, n]."""
    return (batch.samples.own.sum(-1).gather(1, rows) * batch.used.gather(1, rows)).sum(1)


def rows_of(values: Tensor, rows: Tensor, places: int) -> Tensor:
    """The first ``places`` of values [R, B, T] in each run's own rows [R, n]."""
    return values.gather(1, rows[..., None].expand(-1, -1, values.shape[2]))[..., :places]


def penalised(arm: Arm, right: Tensor, lengths: Tensor, group: int) -> Tensor:
    """Rewards [R, B]: 1 for a right answer less the arm's penalty on its length. A wrong answer earns 0."""
    if not arm.penalty:
        return right
    strength = torch.full_like(right, arm.penalty)
    if arm.adaptive:
        strength = strength * right.unflatten(1, (-1, group)).mean(-1).repeat_interleave(group, 1)
    return right * (1 - strength * lengths / 100)


def rounded(values: Tensor) -> list[float]:
    return [float(f"{value:.5g}") for value in values.tolist()]
