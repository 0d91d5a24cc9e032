"""Differences between two arms over pairs of runs, with intervals of Student's t. A pair shares a seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scipy.special import stdtrit

from judgerlvr.evaluation.intervals import LEVEL, NOTHING, Estimate

SAME = 1e-9  # differences that rounding alone makes


@dataclass(frozen=True)
class Numbers:
    """One evaluated policy: share of right samples, and mean tokens of a response (nan where unknown)."""

    accuracy: float
    tokens: float


@dataclass(frozen=True)
class Pair:
    """Two policies of one seed on the same problems. ``seed`` is None for the configuration's own seed."""

    seed: int | None
    ours: Numbers
    theirs: Numbers


@dataclass(frozen=True)
class Differences:
    """Ours minus theirs over pairs: share, tokens, and tokens as a share of theirs (geometric mean over pairs)."""

    accuracy: Estimate
    tokens: Estimate
    tokens_share: Estimate


def differences(pairs: Sequence[Pair]) -> Differences:
    """Means over pairs with 95 % intervals. A single pair has no interval, so the ends are nan."""
    logs = t_interval([_log(pair.ours.tokens) - _log(pair.theirs.tokens) for pair in pairs])
    return Differences(
        accuracy=t_interval([pair.ours.accuracy - pair.theirs.accuracy for pair in pairs]),
        tokens=t_interval([pair.ours.tokens - pair.theirs.tokens for pair in pairs]),
        tokens_share=_mapped(logs, math.expm1),
    )


def t_interval(values: Sequence[float]) -> Estimate:
    """The mean and the ends of its 95 % interval by Student's t.

    One value has nan for both ends. So have equal values, because values without spread bound nothing.
    """
    count = len(values)
    if not count:
        return NOTHING
    mean = math.fsum(values) / count
    if count == 1 or math.isclose(min(values), max(values), rel_tol=SAME, abs_tol=SAME):
        return Estimate(mean, math.nan, math.nan)
    error = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1) / count)
    reach = float(stdtrit(count - 1, 0.5 + LEVEL / 2)) * error
    return Estimate(mean, mean - reach, mean + reach)


def _log(tokens: float) -> float:
    return math.log(tokens) if tokens > 0 else math.nan


def _mapped(estimate: Estimate, change: Callable[[float], float]) -> Estimate:
    return Estimate(*(change(value) for value in (estimate.value, estimate.low, estimate.high)))


def plain(found: Differences | Pair) -> dict[str, Any]:
    """For JSON: null where a number is not known."""
    return {name: _known(value) for name, value in asdict(found).items()}


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _known(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
