"""Held-out figures during training, by the functions of offline evaluation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from data.balanced_accuracy import balanced_accuracy_of
from data.problem_means import problem_means
from judgerlvr.runs.metrics import (
    HELDOUT_ACCURACY,
    HELDOUT_BALANCED,
    SOLVING_ACCURACY,
    SOLVING_TOKENS,
    SOLVING_TRUNCATED,
)
from rewards.verdict import NO_VERDICT

# Data sources of held-out judge prompts, by label.
RIGHT, WRONG = "judge_right", "judge_wrong"
# Data source of the problems that a judge solves at validation.
SOLVING = "solving"
# Parts of a solution's record that no grader knows.
TOKENS, TRUNCATED = "tokens", "truncated"


def held_out(
    sources: Sequence[str],
    prompts: Sequence[str],
    infos: Mapping[str, Sequence[Any]],
    expected: Mapping[tuple[str, str], int],
) -> dict[str, float]:
    """Accuracy of each data source, and the balanced accuracy of judging where both classes are present.

    Problems that a judge solves have figures of their own, since their accuracy is none of judging.
    ``sources``, ``prompts`` and the lists in ``infos`` are by sample, as verl collects them. ``infos`` has what the
    reward function returns. ``expected`` is the number of samples of each (source, prompt). A sample that never came
    counts as wrong and as a missing verdict.
    """
    keys = list(zip(map(str, sources), map(str, prompts), strict=True))
    missing = list((Counter(expected) - Counter(keys)).elements())
    keys += missing
    scores = [float(score or 0.0) for score in infos["acc" if "acc" in infos else "reward"]] + [0.0] * len(missing)
    scores = [
        0.0 if source == SOLVING and math.isnan(score) else score
        for (source, _), score in zip(keys, scores, strict=True)
    ]
    verdicts = [*infos.get("verdict", [None] * len(sources)), *[None] * len(missing)]
    figures = accuracies(keys, scores)
    solved = figures.pop(HELDOUT_ACCURACY.name.format(SOLVING), None)
    sizes = {} if solved is None else {SOLVING_ACCURACY.name: solved} | solution_sizes(sources, infos)
    return figures | balanced(keys, verdicts) | sizes


def solution_sizes(sources: Sequence[str], infos: Mapping[str, Sequence[Any]]) -> dict[str, float]:
    """Mean tokens and truncated share of the solutions that came. Empty where none came."""
    found: dict[str, float] = {}
    for name, metric in ((TOKENS, SOLVING_TOKENS), (TRUNCATED, SOLVING_TRUNCATED)):
        values = [float(size) for source, size in zip(sources, infos.get(name, ()), strict=False) if source == SOLVING]
        found |= {metric.name: fmean(values)} if values else {}
    return found


def with_sizes(graded: Mapping[str, Any], source: str, tokens: int, truncated: bool) -> dict[str, Any]:
    """The grader's record of a sample. Records of other samples than solutions stay as they are."""
    return dict(graded) | ({TOKENS: tokens, TRUNCATED: float(truncated)} if source == SOLVING else {})


def accuracies(keys: Sequence[tuple[str, str]], scores: Sequence[float]) -> dict[str, float]:
    """The accuracy of each data source, from samples with their (source, prompt). Prompts weigh the same."""
    figures = {}
    for source in dict.fromkeys(name for name, _ in keys):
        rows = [(score, prompt) for (name, prompt), score in zip(keys, scores, strict=True) if name == source]
        means, _ = problem_means([score for score, _ in rows], [prompt for _, prompt in rows])
        figures[HELDOUT_ACCURACY.name.format(source)] = float(means.mean())
    return figures


def balanced(keys: Sequence[tuple[str, str]], verdicts: Sequence[float | None]) -> dict[str, float]:
    """The balanced accuracy over both judge sources. Empty unless both have samples."""
    judged = [(name == RIGHT, said) for (name, _), said in zip(keys, verdicts, strict=True) if name in (RIGHT, WRONG)]
    value = balanced_accuracy_of([label for label, _ in judged], [read_verdict(said) for _, said in judged])
    return {} if math.isnan(value) else {HELDOUT_BALANCED.name: value}


def read_verdict(value: float | None) -> bool | None:
    """The verdict in the reward's record of a sample."""
    return None if value is None or value == NO_VERDICT else bool(value)
