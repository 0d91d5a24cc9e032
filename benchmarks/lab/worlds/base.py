"""The contract of a world: it draws problems, writes the base's traces, answers rechecks, and grades responses.

All tensors are flat over samples: N rows. A world holds its tables on one device. Each draw takes a generator.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

Problems = dict[str, Tensor]
WINDOW = 6  # last tokens that a world sees when it answers a recheck, unless the world asks for more


@dataclass(frozen=True)
class Special:
    """Tokens that all worlds share. A world's own tokens begin at ``first_own``."""

    pad: int = 0
    begin: int = 1
    end: int = 2
    solve: int = 3
    judge: int = 4
    ready: int = 5
    recheck: int = 6
    accepted: int = 7
    refused: int = 8
    again: int = 9
    answer: int = 10
    verdict: int = 11
    right: int = 12
    wrong: int = 13
    fill: int = 14
    first_own: int = 16


TOKENS = Special()


@dataclass(frozen=True)
class Traces:
    """Responses [N, T] padded on the right, and their lengths [N], the end token counted."""

    tokens: Tensor
    lengths: Tensor


@dataclass(frozen=True)
class Grades:
    """Per sample [N]: reward of solving, shape of the response, and the values shown to a judge [N, steps]."""

    right: Tensor
    well_formed: Tensor
    candidate: Tensor
    usable: Tensor


class World(ABC):
    """One task. See the module's docstring for shapes."""

    name: str
    vocabulary: int
    prompt_length: int
    judge_prompt_length: int
    response_limit: int
    judge_limit: int
    window: int = WINDOW

    @abstractmethod
    def problems(self, rows: int, draw: torch.Generator) -> Problems: ...

    @abstractmethod
    def prompt(self, problems: Problems) -> Tensor: ...

    @abstractmethod
    def judge_prompt(self, problems: Problems, candidate: Tensor) -> Tensor: ...

    @abstractmethod
    def solve_traces(self, problems: Problems, draw: torch.Generator) -> Traces: ...

    @abstractmethod
    def judge_traces(self, problems: Problems, candidate: Tensor, draw: torch.Generator) -> Traces: ...

    @abstractmethod
    def candidates(self, problems: Problems, draw: torch.Generator) -> Tensor:
        """Candidates for supervised judging: about half of them right."""

    def reply(self, window: Tensor, noise: Tensor) -> Tensor:
        """The token that the world writes after ``window`` [..., window], or -1 where the policy writes.

        ``noise`` [...] is uniform in [0, 1) and fresh at each token. By default the policy itself writes all.
        """
        return torch.full_like(window[..., -1], -1)

    def by_world(self, tokens: Tensor) -> Tensor:
        """True where a token of solving responses [..., T] came from ``reply``: such tokens carry no loss."""
        return torch.zeros_like(tokens, dtype=torch.bool)

    @abstractmethod
    def recheck_due(self, window: Tensor) -> Tensor:
        """True where a response in the forced rechecking style must recheck next."""

    @abstractmethod
    def grade(self, problems: Problems, traces: Traces) -> Grades: ...

    @abstractmethod
    def counts(self, problems: Problems, traces: Traces) -> dict[str, Tensor]:
        """Named numerators and denominators per sample [N]. The evaluation sums both and divides."""

    @abstractmethod
    def judge_counts(self, problems: Problems, candidate: Tensor, traces: Traces) -> dict[str, Tensor]: ...

    @abstractmethod
    def shortcut_features(self, problems: Problems, candidate: Tensor) -> Tensor:
        """Float features [N, F] that need no knowledge of facts. A classifier on them must stay near chance."""


def half_gold(gold: Tensor, shown: Tensor, draw: torch.Generator) -> Tensor:
    """Candidates [N, slots] of which about half are ``gold``, and the others what the base has ``shown``."""
    return torch.where(uniform(len(shown), draw)[:, None] < 0.5, gold, shown)


def value_features(candidate: Tensor, steps: Tensor, modulus: int) -> Tensor:
    """Number of steps, final value (one-hot), distinct values, repeats of the value before, mean value.

    ``candidate`` [N, most steps] has a value for each step, of which the first ``steps`` [N] count.
    """
    present = torch.arange(candidate.shape[1], device=candidate.device) < steps[:, None]
    last = candidate.gather(1, steps[:, None] - 1)[:, 0]
    seen = torch.zeros(len(candidate), modulus, device=candidate.device)
    seen.scatter_add_(1, candidate, present.float())
    repeats = ((candidate[:, 1:] == candidate[:, :-1]) & present[:, 1:]).float().sum(-1)
    mean = (candidate * present).sum(-1) / present.sum(-1)
    scalars = torch.stack((steps.float(), (seen > 0).float().sum(-1), repeats, mean), -1)
    return torch.cat((scalars, torch.nn.functional.one_hot(last, modulus).float(), seen), -1)


def said_right(traces: Traces) -> tuple[Tensor, Tensor]:
    """(verdict is "right", verdict is well formed), each [N]: the response ends with verdict, right or wrong, end."""
    one, two, three = (from_end(traces, distance) for distance in (1, 2, 3))
    shape = (one == TOKENS.end) & (three == TOKENS.verdict) & ((two == TOKENS.right) | (two == TOKENS.wrong))
    return shape & (two == TOKENS.right), shape & (traces.lengths >= 3)


def grade_verdicts(labels: Tensor, traces: Traces) -> Tensor:
    """Reward [N]: 1 where a well-formed verdict equals the label. A recheck voids a judging response."""
    said, shaped = said_right(traces)
    clean = ~(traces.tokens == TOKENS.recheck).any(-1)
    return (shaped & clean & (said == labels)).float()


def from_end(traces: Traces, distance: int) -> Tensor:
    """Token [N] at ``distance`` places from the end of each response, 1 for the last one."""
    at = (traces.lengths - distance).clamp_min(0)
    return traces.tokens.gather(1, at[:, None])[:, 0]


def shifted(tokens: Tensor, by: int) -> Tensor:
    """Entry t is ``tokens`` at t + by, padding where that is outside of the response."""
    moved = torch.roll(tokens, -by, -1)
    if by > 0:
        moved[..., -by:] = TOKENS.pad
    elif by < 0:
        moved[..., :-by] = TOKENS.pad
    return moved


def compact(pieces: Tensor) -> Traces:
    """Responses [N, M] with -1 for places not written -> tokens moved to the left, lengths."""
    absent = pieces < 0
    order = absent.to(torch.uint8).argsort(dim=-1, stable=True)
    lengths = (~absent).sum(-1)
    tokens = pieces.gather(1, order).clamp_min(TOKENS.pad)
    keep = torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
    return Traces(torch.where(keep, tokens, TOKENS.pad)[:, : int(lengths.max())], lengths)


def uniform(rows: int | tuple[int, ...], draw: torch.Generator) -> Tensor:
    size = (rows,) if isinstance(rows, int) else rows
    return torch.rand(size, generator=draw, device=draw.device)


def below(limit: int, rows: int | tuple[int, ...], draw: torch.Generator) -> Tensor:
    """Whole numbers in [0, limit)."""
    size = (rows,) if isinstance(rows, int) else rows
    return torch.randint(limit, size, generator=draw, device=draw.device)


def repeat(problems: Problems, times: int) -> Problems:
    return {name: value.repeat_interleave(times, 0) for name, value in problems.items()}


def take(problems: Problems, rows: Tensor) -> Problems:
    return {name: value[rows] for name, value in problems.items()}
