"""What a curve's point holds: solving freely, greedily and in forced styles, and judging, on held-out problems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.lab.judge_pool import Pool
from benchmarks.lab.model import Weights
from benchmarks.lab.sampler import Sampler, Samples, Style
from benchmarks.lab.worlds.base import Problems, Traces, World, grade_verdicts, repeat, said_right

HELD_OUT_SEED, COLD_SEED = 777, 778
TEMPERATURES = (0.5, 0.7, 0.85, 1.15)  # for comparisons at matched entropy
COLD_TEMPERATURES = (0.1, 0.2, 0.3, 0.4)  # of a base alone, since trained runs are surer than a base at .5

Point = dict[str, float]
CurvePoint = dict[str, Any]  # a point with its step, stage, sampled tokens and seconds


@dataclass
class Evaluator:
    """Evaluates all runs on the same held-out problems and the same held-out judge pairs.

    ``solver`` and ``judger`` give the number of samples of one batch of each kind.
    """

    world: World
    solver: Sampler
    judger: Sampler
    heldout: Pool | None
    group: int

    def points(self, weights: Weights, full: bool) -> list[Point]:
        """One point a run. ``full`` adds a second batch of problems and the temperatures for matched entropy."""
        runs, device = self.solver.runs, self.solver.device
        draw = torch.Generator(device=device).manual_seed(HELD_OUT_SEED)
        table = self.solve(weights, draw, "", batches=2 if full else 1)
        table |= self.solve(weights, draw, "greedy_", temperature=0.0)
        table |= self.solve(weights, draw, "none_", style=Style.NONE)
        table |= self.solve(weights, draw, "every_", style=Style.EVERY)
        table["mixed_groups"] = self.mixed_groups(weights, draw)
        if full:
            for temperature in TEMPERATURES:
                table |= self.solve(weights, draw, prefix_of(temperature), temperature=temperature)
        if self.heldout is not None:
            table |= self.judge(weights, draw)
        return by_run(table, runs)

    def cold_points(self, weights: Weights) -> list[Point]:
        """Accuracy, tokens and entropy of each run at the cold temperatures. Other draws stay as they are."""
        draw = torch.Generator(device=self.solver.device).manual_seed(COLD_SEED)
        tables = [self.solve(weights, draw, prefix_of(cold), temperature=cold) for cold in COLD_TEMPERATURES]
        return by_run({name: values for table in tables for name, values in table.items()}, self.solver.runs)

    def solve(
        self,
        weights: Weights,
        draw: torch.Generator,
        prefix: str,
        temperature: float = 1.0,
        style: Style = Style.NATURAL,
        batches: int = 1,
    ) -> dict[str, Tensor]:
        """Accuracy, tokens, entropy. With an empty prefix also the world's own counts, each [R]."""
        tables = []
        for _ in range(batches):
            problems = self.world.problems(self.solver.rows, draw)
            samples = self._sample(weights, problems, draw, temperature, style)
            tables.append(self._solving(problems, samples, details=not prefix))
        return {prefix + name: torch.stack([t[name] for t in tables]).mean(0) for name in tables[0]}

    def judge(self, weights: Weights, draw: torch.Generator) -> dict[str, Tensor]:
        assert self.heldout is not None
        problems, candidates, labels = self.heldout.pairs(self.judger.rows)
        times = self.judger.rows // len(labels)
        prompts = self.world.judge_prompt(problems, candidates)
        samples = self.judger.run(weights, prompts.expand(self.judger.runs, *prompts.shape), draw)
        problems, candidates, labels = (
            tile(repeat(problems, times), self.judger.runs),
            candidates.repeat_interleave(times, 0).repeat(self.judger.runs, 1),
            labels.repeat_interleave(times, 0).repeat(self.judger.runs),
        )
        traces = flat(samples)
        reward = grade_verdicts(labels, traces)
        said, shaped = said_right(traces)
        counted = self.world.judge_counts(problems, candidates, traces)
        mean = lambda values, mask: per_run(values.float() * mask, samples) / per_run(mask.float(), samples)  # noqa: E731
        return {
            "judge_false_no": 1 - mean(reward, labels),
            "judge_false_yes": 1 - mean(reward, ~labels),
            "judge_balanced": (mean(reward, labels) + mean(reward, ~labels)) / 2,
            "judge_says_right": mean(said, torch.ones_like(labels)),
            "judge_well_formed": mean(shaped, torch.ones_like(labels)),
            "judge_tokens": samples.lengths.float().mean(1),
            **{"judge_" + name: value for name, value in ratios(counted, samples).items()},
        }

    def mixed_groups(self, weights: Weights, draw: torch.Generator) -> Tensor:
        """Share of groups with right and wrong answers [R]."""
        problems = self.world.problems(self.solver.rows // self.group, draw)
        prompts = self.world.prompt(problems)
        samples = self.solver.run(weights, prompts.expand(self.solver.runs, *prompts.shape), draw)
        grades = self.world.grade(tile(repeat(problems, self.group), self.solver.runs), flat(samples))
        grouped = grades.right.view(self.solver.runs, -1, self.group)
        return (grouped.any(-1) & ~grouped.all(-1)).float().mean(1)

    def _sample(
        self, weights: Weights, problems: Problems, draw: torch.Generator, temperature: float, style: Style
    ) -> Samples:
        prompts = self.world.prompt(problems)
        styles = torch.full((self.solver.runs, self.solver.rows), int(style), device=self.solver.device)
        return self.solver.run(weights, prompts.expand(self.solver.runs, *prompts.shape), draw, temperature, styles)

    def _solving(self, problems: Problems, samples: Samples, details: bool) -> dict[str, Tensor]:
        problems, traces = tile(problems, len(samples.lengths)), flat(samples)
        grades = self.world.grade(problems, traces)
        right, lengths = grades.right.view_as(samples.lengths).float(), samples.lengths.float()
        table = {"accuracy": right.mean(1), "tokens": lengths.mean(1), "entropy": samples.entropy}
        if not details:
            return table
        return table | {
            "tokens_right": (right * lengths).sum(1) / right.sum(1).clamp_min(1),
            "tokens_wrong": ((1 - right) * lengths).sum(1) / (1 - right).sum(1).clamp_min(1),
            "well_formed": grades.well_formed.view_as(right).float().mean(1),
            "truncated": 1 - samples.ended.float().mean(1),
            **ratios(self.world.counts(problems, traces), samples),
        }


def by_run(table: dict[str, Tensor], runs: int) -> list[Point]:
    """Figures [R] as one point a run."""
    return [{name: round(float(values[run]), 5) for name, values in table.items()} for run in range(runs)]


def prefix_of(temperature: float) -> str:
    """What stands before the figures of a temperature other than 1."""
    return f"t{temperature}_"


DENOMINATORS = {
    "copied": "lines",
    "unreliable_right": "unreliable",
    "unreliable_belief": "unreliable",
    "reliable_right": "reliable",
    "recheck_agrees": "rechecks",
    "verdict_follows": "checked",
    "of_forbidden": "lines",  # the gate worlds: of what kind the checks are, and how they err
    "false_yes": "unreliable_forbidden",
    "false_no": "unreliable_allowed",
}


def ratios(counted: dict[str, Tensor], samples: Samples) -> dict[str, Tensor]:
    """Counts [N] -> per run: a share where the count has a denominator, else the mean a sample."""
    table = {}
    for name, values in counted.items():
        top = per_run(values.float(), samples)
        below = per_run(counted[DENOMINATORS[name]].float(), samples) if name in DENOMINATORS else None
        table[name] = top / samples.lengths.shape[1] if below is None else top / below
    return table


def per_run(values: Tensor, samples: Samples) -> Tensor:
    """Sums [R] of values [R * B]."""
    return values.view(samples.lengths.shape).sum(1)


def flat(samples: Samples) -> Traces:
    return Traces(samples.tokens.flatten(0, 1), samples.lengths.flatten())


def tile(problems: Problems, runs: int) -> Problems:
    """The same problems for each run, run by run."""
    return {name: value.repeat(runs, *[1] * (value.dim() - 1)) for name, value in problems.items()}
