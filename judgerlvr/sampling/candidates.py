"""Candidates: unlabelled responses of one or more models, the raw material of a judge set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.kept_chunks import Keep, KeptChunks, fingerprint
from judgerlvr.sampling.sampler import Sampler, needed_context
from judgerlvr.sampling.samples import Sample, generate_items
from rewards.types import Problem


def sample_candidates(
    model_dirs: Sequence[Path],
    problems: Sequence[Problem],
    template: str,
    decoding: Decoding,
    engine: Mapping[str, Any] | None = None,
    keep: Keep | None = None,
) -> list[dict[str, Any]]:
    """Unlabelled responses of each model directory in turn: the raw material of a judge set.

    Rows carry problem, gold, response, the model's directory name, and the tokens sampled, which count in budgets.
    With ``keep`` the problems are sampled in chunks, and chunks of an earlier attempt are taken from the disk.
    """
    items = generate_items(problems, template, "candidates")
    size = keep.problems if keep else max(1, len(items))
    chunks = [items[start : start + size] for start in range(0, len(items), size)]
    kept = KeptChunks(keep, fingerprint(model_dirs, problems, template, decoding)) if keep else None
    found: dict[str, list[dict[str, Any]]] = kept.chunks if kept else {}
    names = [f"{model}/{chunk}" for model in range(len(model_dirs)) for chunk in range(len(chunks))]
    for number, model_dir in enumerate(model_dirs):
        missing = {f"{number}/{index}": chunk for index, chunk in enumerate(chunks) if f"{number}/{index}" not in found}
        if not missing:
            continue
        with Sampler(model_dir, needed_context(model_dir, items, decoding.max_tokens), engine) as sampler:
            for name, chunk in missing.items():
                rows = [_candidate(sample, model_dir.name) for sample in sampler.sample(chunk, decoding)]
                found[name] = rows
                if kept:
                    kept.add(name, rows)
                    kept.tell(len(found), len(names))
    return [row for name in names for row in found[name]]


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
