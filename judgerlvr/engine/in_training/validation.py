"""Held-out figures during training, by the functions of offline evaluation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from data.balanced_accuracy import balanced_accuracy_of
from data.problem_means import problem_means
from judgerlvr.runs.metrics import HELDOUT_ACCURACY, HELDOUT_BALANCED
from rewards.verdict import NO_VERDICT

# Data sources of held-out judge prompts, by label.
RIGHT, WRONG = "judge_right", "judge_wrong"


def held_out(
    sources: Sequence[str],
    prompts: Sequence[str],
    infos: Mapping[str, Sequence[Any]],
    expected: Mapping[tuple[str, str], int],
) -> dict[str, float]:
    """Accuracy of each data source, and the balanced accuracy of judging where both classes are present.

    ``sources``, ``prompts`` and the lists in ``infos`` are by sample, as verl collects them. ``infos`` has what the
    reward function returns. ``expected`` is the number of samples of each (source, prompt). A sample that never came
    counts as wrong and as a missing verdict.
    """
    keys = list(zip(map(str, sources), map(str, prompts), strict=True))
    missing = list((Counter(expected) - Counter(keys)).elements())
    keys += missing
    scores = [float(score or 0.0) for score in infos["acc" if "acc" in infos else "reward"]] + [0.0] * len(missing)
    verdicts = [*infos.get("verdict", [None] * len(sources)), *[None] * len(missing)]
    return accuracies(keys, scores) | balanced(keys, verdicts)


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
