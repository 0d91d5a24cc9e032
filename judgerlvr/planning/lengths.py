"""Distributions of response lengths: recorded by a run, or a lognormal with a stated mean and tail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from pathlib import Path
from statistics import NormalDist, fmean

from judgerlvr.runs.rollout_log import ROLLOUTS, read_steps
from rewards.errors import InputError
from rewards.wording import counted

# Lengths of a lognormal, at the middles of so many equal parts of the distribution.
QUANTILES = 4096
# Steps of a run whose lengths are taken: the policy's lengths change while the policy trains.
LAST_STEPS = 20
P99 = NormalDist().inv_cdf(0.99)
# No lognormal has a larger ratio of its 99th percentile to its mean.
LARGEST_TAIL = exp(P99**2 / 2)


@dataclass(frozen=True)
class Lengths:
    """``tokens`` of responses, one number a sample, ascending. ``source`` says for people where they come from."""

    tokens: tuple[int, ...]
    source: str

    @property
    def mean(self) -> float:
        return fmean(self.tokens)

    @property
    def longest(self) -> int:
        return self.tokens[-1]

    @property
    def tail(self) -> float:
        """The 99th percentile over the mean."""
        return quantile(self.tokens, 0.99) / self.mean

    def described(self, limit: int) -> str:
        cut = sum(length >= limit for length in self.tokens) / len(self.tokens)
        shown = f"mean {self.mean:.0f} tokens, p99/mean {self.tail:.2f}, {cut:.1%} cut at {limit}"
        return f"{self.source}: {shown}"


def quantile(ascending: Sequence[int], share: float) -> int:
    """The smallest of the numbers that at least ``share`` of the numbers do not exceed."""
    return ascending[max(0, -int(-share * len(ascending) // 1) - 1)]


def lognormal(mean: float, tail: float, limit: int) -> Lengths:
    """Lengths of a lognormal before the cut at ``limit``: ``mean`` tokens, and a 99th percentile ``tail`` times that.

    Raises:
        InputError: no lognormal has this tail, or the mean is no length below the limit.
    """
    if not 1 <= tail <= LARGEST_TAIL:
        raise InputError(f"p99/mean of {tail:g}", f"give 1 to {LARGEST_TAIL:.1f}", field="--tail")
    if not 1 <= mean <= limit:
        raise InputError(f"a mean of {mean:g} tokens", f"give 1 to {limit}, the longest response", field="--mean")
    # ln(tail) = P99 s - s^2 / 2, of which the smaller root is the distribution with the thinner tail.
    spread = P99 - sqrt(max(0.0, P99**2 - 2 * log(tail)))
    centre = log(mean) - spread**2 / 2
    middles = (NormalDist().inv_cdf((part + 0.5) / QUANTILES) for part in range(QUANTILES))
    tokens = (min(limit, max(1, round(exp(centre + spread * middle)))) for middle in middles)
    return Lengths(tuple(tokens), f"lognormal with p99/mean {tail:g} before the cut")


def recorded(run: Path, limit: int) -> Lengths:
    """Lengths of the rollouts that a run has logged in its last steps, cut at ``limit``.

    Raises:
        InputError: no logged rollouts there, or a damaged line.
    """
    folder = run / ROLLOUTS if (run / ROLLOUTS).is_dir() else run
    tokens = sorted(min(limit, max(1, one.tokens)) for one in read_steps(folder, LAST_STEPS))
    if not tokens:
        raise InputError("no logged rollouts", "give the folder of a run, or its rollouts", file=run, field="--lengths")
    return Lengths(tuple(tokens), f"{counted(len(tokens), 'rollout')} of {run}")
