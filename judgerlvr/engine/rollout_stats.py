"""Metrics of everything that a step sampled, dropped groups included."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from judgerlvr.engine.rollouts import Rollout


def step_metrics(kind: str, rollouts: Sequence[Rollout]) -> dict[str, float]:
    """Accuracy, reasons, length by outcome and, when judging, verdicts by class; absent classes are left out."""
    metrics = {
        "sampled/accuracy": fmean(rollout.correct for rollout in rollouts),
        "sampled/truncated": fmean(rollout.truncated for rollout in rollouts),
        "sampled/tokens": fmean(rollout.tokens for rollout in rollouts),
        "sampled/all_zero": float(not any(rollout.score for rollout in rollouts)),
    }
    metrics |= _lengths(rollouts) | _reasons(rollouts) | _grading_seconds(rollouts)
    return metrics | _verdicts(rollouts) if kind == "judge" else metrics


def _lengths(rollouts: Sequence[Rollout]) -> dict[str, float]:
    outcomes = {
        "correct": [r.tokens for r in rollouts if r.correct],
        "wrong": [r.tokens for r in rollouts if not r.correct and not r.truncated],
        "truncated": [r.tokens for r in rollouts if r.truncated],
    }
    return {f"tokens/{name}": fmean(values) for name, values in outcomes.items() if values}


def _reasons(rollouts: Sequence[Rollout]) -> dict[str, float]:
    return {f"reason/{reason}": count for reason, count in Counter(r.reason for r in rollouts).items() if reason}


def _grading_seconds(rollouts: Sequence[Rollout]) -> dict[str, float]:
    seconds = [rollout.seconds for rollout in rollouts]
    p50, p99 = np.percentile(seconds, [50, 99])
    return {"grading/p50_s": float(p50), "grading/p99_s": float(p99), "grading/max_s": max(seconds)}


def _verdicts(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """Recall on right and on wrong solutions, balanced accuracy, and the share of accepting verdicts."""
    right = [r.correct for r in rollouts if r.label]
    wrong = [r.correct for r in rollouts if r.label is False]
    given = [r.label == r.correct for r in rollouts if r.reason in ("correct", "wrong")]
    metrics = {f"judge/{name}": fmean(v) for name, v in (("recall_right", right), ("recall_wrong", wrong)) if v}
    if right and wrong:
        metrics["judge/balanced_accuracy"] = (fmean(right) + fmean(wrong)) / 2
    if given:
        metrics["judge/accepted"] = fmean(given)
    return metrics
