"""Candidates for judging: the base's own answers to problems it solves sometimes, one right and one wrong a problem."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.lab.model import Weights
from benchmarks.lab.sampler import Sampler
from benchmarks.lab.worlds.base import Problems, Traces, World, repeat, take


@dataclass(frozen=True)
class Pool:
    """N problems with a right and a wrong candidate [N, steps], and the tokens that their sampling cost."""

    problems: Problems
    right: Tensor
    wrong: Tensor
    tokens: int

    def __len__(self) -> int:
        return len(self.right)

    def part(self, rows: slice) -> Pool:
        problems = {name: value[rows] for name, value in self.problems.items()}
        return Pool(problems, self.right[rows], self.wrong[rows], self.tokens)

    def draw(self, rows: int, draw: torch.Generator) -> tuple[Problems, Tensor, Tensor]:
        """(problems, candidates, labels) of ``rows`` draws with replacement. A label is right with chance one half."""
        index = torch.randint(len(self), (rows,), generator=draw, device=self.right.device)
        labels = torch.rand(rows, generator=draw, device=self.right.device) < 0.5
        return take(self.problems, index), torch.where(labels[:, None], self.right[index], self.wrong[index]), labels

    def pairs(self, most: int) -> tuple[Problems, Tensor, Tensor]:
        """Both candidates of the first problems, as (problems, candidates, labels) with ``most`` rows at most."""
        some = self.part(slice(0, most // 2))
        candidates = torch.stack((some.right, some.wrong), 1).flatten(0, 1)
        labels = torch.tensor([True, False], device=candidates.device).repeat(len(some))
        return repeat(some.problems, 2), candidates, labels


def sample_pool(
    world: World, sampler: Sampler, weights: Weights, group: int, wanted: int, seed: int, rounds: int, hard: float
) -> Pool:
    """At least ``wanted`` pairs, unless ``rounds`` rounds do not give as many. All runs of ``weights`` sample.

    ``hard`` is the share of problems whose wrong candidate is one of those with the fewest wrong values.
    """
    draw = torch.Generator(device=sampler.device).manual_seed(seed)
    parts: list[Pool] = []
    while len(parts) < rounds and sum(map(len, parts)) < wanted:
        parts.append(_one_round(world, sampler, weights, group, draw, hard))
    problems = {name: torch.cat([part.problems[name] for part in parts]) for name in parts[0].problems}
    right, wrong = (torch.cat([getattr(part, side) for part in parts]) for side in ("right", "wrong"))
    return Pool(problems, right, wrong, sum(part.tokens for part in parts))


def _one_round(
    world: World, sampler: Sampler, weights: Weights, group: int, draw: torch.Generator, hard: float
) -> Pool:
    count = sampler.runs * sampler.rows // group
    problems = world.problems(count, draw)
    samples = sampler.run(weights, world.prompt(problems).unflatten(0, (sampler.runs, -1)), draw)
    traces = Traces(samples.tokens.flatten(0, 1), samples.lengths.flatten())
    return pairs_of(world, problems, traces, group, draw, hard)


def pairs_of(world: World, problems: Problems, traces: Traces, group: int, draw: torch.Generator, hard: float) -> Pool:
    """A pair of each problem that has right and wrong responses. A problem's ``group`` responses follow each other."""
    count = len(traces.lengths) // group
    grades = world.grade(repeat(problems, group), traces)
    shown = grades.candidate.unflatten(0, (count, group))
    right, usable = (x.unflatten(0, (count, group)) for x in (grades.right, grades.usable))
    bad = (shown != problems["gold"][:, None]).sum(-1).float()
    noise = torch.rand(bad.shape, generator=draw, device=bad.device)
    nearest = torch.rand(count, 1, generator=draw, device=bad.device) < hard
    best = torch.where(right & usable, noise, -1.0).max(-1)
    worst = torch.where(~right & usable, noise - 10 * torch.where(nearest, bad, 0.0), -1e9).max(-1)
    mixed = ((right & usable).any(-1) & (~right & usable).any(-1)).nonzero()[:, 0]
    chosen = [shown[mixed, pick.indices[mixed]] for pick in (best, worst)]
    return Pool(take(problems, mixed), chosen[0], chosen[1], int(traces.lengths.sum()))
