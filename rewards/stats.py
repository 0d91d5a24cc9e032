"""What a batch of Results says: counts per reason, and how long grading took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum

from rewards.types import Reason, Result


def reason_counts(results: Sequence[Result]) -> dict[StrEnum, int]:
    """Results per reason, every ``Reason`` named, most frequent first."""
    counts: Counter[StrEnum] = Counter({reason: 0 for reason in Reason})
    counts.update(result.reason for result in results)
    return dict(counts.most_common())


def second_percentiles(results: Sequence[Result]) -> dict[str, float]:
    """p50, p99 (nearest rank) and max of the seconds; empty for no results."""
    seconds = sorted(result.seconds for result in results)
    if not seconds:
        return {}
    return {
        "p50": seconds[-(-len(seconds) * 50 // 100) - 1],
        "p99": seconds[-(-len(seconds) * 99 // 100) - 1],
        "max": seconds[-1],
    }
