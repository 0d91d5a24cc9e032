"""Stored responses as samples. The grading is that of fresh samples, and no engine runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.importing.options import ReadOptions
from data.responses import DEFAULT, read_responses
from judgerlvr.sampling.samples import Item, Sample
from judgerlvr.sampling.thinking_tokens import count_thinking_tokens


def read_stored(path: Path, model_dir: Path | None = None, options: ReadOptions = DEFAULT) -> list[Sample]:
    """One sample a row. Rows that name a ``model`` form a set for each model, and all other rows form a set for the
    file.

    The path is the name of the file's set, since two files may share their last part.
    ``model_dir`` only lends its tokenizer for lengths. Without ``model_dir`` the samples have no lengths.

    Raises:
        InputError: a row lacks problem, gold or response.
    """
    tokenizer = None
    if model_dir is not None:
        from judgerlvr.models.directory import load_tokenizer

        tokenizer = load_tokenizer(model_dir)
    seen: Counter[tuple[str, str]] = Counter()
    samples = []
    for candidate in read_responses(path, options):
        item = Item(candidate.problem.id, candidate.model or str(path), candidate.problem, [])
        index = seen[item.set, item.id]
        seen[item.set, item.id] += 1
        tokens, thinking = (None, None) if tokenizer is None else _lengths(tokenizer, candidate.response)
        samples.append(Sample(item, index, candidate.response, "", tokens, thinking, candidate.finish_reason))
    return samples


def apart(path: Path, samples: Sequence[Sample]) -> list[Sample]:
    """The samples with the path before the name of a model, so that two files never share a set."""
    items = [replace(sample.item, set=f"{path}: {sample.item.set}") for sample in samples]
    pairs = zip(samples, items, strict=True)
    return [sample if sample.item.set == str(path) else replace(sample, item=item) for sample, item in pairs]


def _lengths(tokenizer: Any, response: str) -> tuple[int, int]:
    """(all, thinking) tokens of a text."""

    def decode(ids: Sequence[int]) -> str:
        text: str = tokenizer.decode(ids)
        return text

    # A sampled response has no start token, so none may count here.
    ids = tokenizer.encode(response, add_special_tokens=False)
    return len(ids), count_thinking_tokens(ids, decode)
