"""Candidates: unlabelled responses of one or more models, the raw material of a judge set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.sampler import Sampler, needed_context
from judgerlvr.sampling.samples import Sample, generate_items
from rewards.types import Problem


def sample_candidates(
    model_dirs: Sequence[Path],
    problems: Sequence[Problem],
    template: str,
    decoding: Decoding,
    engine: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Unlabelled responses of each model directory in turn: the raw material of a judge set.

    Rows carry problem, gold, response, the model's directory name, and the tokens sampled, which count in budgets.
    """
    items = generate_items(problems, template, "candidates")
    rows = []
    for model_dir in model_dirs:
        with Sampler(model_dir, needed_context(model_dir, items, decoding.max_tokens), engine) as sampler:
            rows += [_candidate(sample, model_dir.name) for sample in sampler.sample(items, decoding)]
    return rows


def _candidate(sample: Sample, model: str) -> dict[str, Any]:
    problem = sample.item.problem
    return {
        "id": problem.id,
        "problem": problem.text,
        "gold": problem.gold,
        "response": sample.response,
        "model": model,
        "sample": sample.index,
        "finish_reason": sample.finish_reason,
        "tokens": sample.tokens,
    }
