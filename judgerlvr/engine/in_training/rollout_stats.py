"""Metrics of everything that a step sampled, dropped groups included."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from data.shortcuts import Judgement, class_statistics, shortcut_statistics
from judgerlvr.runs import metrics

if TYPE_CHECKING:
    from judgerlvr.engine.in_training.rollouts import Rollout

# Reasons that a readable verdict leaves. Any other reason means that there was no verdict.
VERDICT_GIVEN = ("correct", "wrong")


def step_metrics(kind: str, rollouts: Sequence[Rollout]) -> dict[str, float]:
    """Accuracy, reasons, length by outcome and, when judging, verdicts by class. Absent classes are left out."""
    values = {
        metrics.ACCURACY.name: fmean(rollout.correct for rollout in rollouts),
        metrics.TRUNCATED.name: fmean(rollout.truncated for rollout in rollouts),
        metrics.MEAN_TOKENS.name: fmean(rollout.tokens for rollout in rollouts),
        metrics.ALL_ZERO.name: float(not any(rollout.score for rollout in rollouts)),
    }
    values |= _lengths(rollouts) | _reasons(rollouts) | _grading_seconds(rollouts)
    return values | _verdicts(rollouts) if kind == "judge" else values


def _lengths(rollouts: Sequence[Rollout]) -> dict[str, float]:
    outcomes = {
        "correct": [r.tokens for r in rollouts if r.correct],
        "wrong": [r.tokens for r in rollouts if not r.correct and not r.truncated],
        "truncated": [r.tokens for r in rollouts if r.truncated],
    }
    return {metrics.LENGTH_BY_OUTCOME.name.format(name): fmean(values) for name, values in outcomes.items() if values}


def _reasons(rollouts: Sequence[Rollout]) -> dict[str, float]:
    return {
        metrics.REASON.name.format(reason): count
        for reason, count in Counter(r.reason for r in rollouts).items()
        if reason
    }


def _grading_seconds(rollouts: Sequence[Rollout]) -> dict[str, float]:
    seconds = [rollout.seconds for rollout in rollouts]
    p50, p99 = np.percentile(seconds, [50, 99])
    return {"grading/p50_s": float(p50), "grading/p99_s": float(p99), "grading/max_s": max(seconds)}


def _verdicts(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """Accuracy by class, share of accepting verdicts, and the shortcuts' scores on one sample of each prompt.

    One sample, because the group's other samples show the same solution and would give the label away.
    """
    rows = [_judgement(rollout) for rollout in rollouts]
    firsts = [row for rollout, row in zip(rollouts, rows, strict=True) if rollout.sample == 0]
    values = {metrics.JUDGE_CLASS.name.format(name): value for name, value in class_statistics(rows).items()}
    values |= {metrics.SHORTCUT.name.format(name): value for name, value in shortcut_statistics(firsts).items()}
    given = [row.verdict for row in rows if row.verdict is not None]
    return values | ({metrics.ACCEPTED.name: fmean(given)} if given else {})


def _judgement(rollout: Rollout) -> Judgement:
    label = bool(rollout.label)
    verdict = (label is rollout.correct) if rollout.reason in VERDICT_GIVEN else None
    return Judgement(label, rollout.answer, rollout.shown_characters, verdict)
