"""One evaluation from items to files, sampled from a model directory or read as stored responses."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from data.row_files import source_sha256
from judgerlvr.evaluation.grading import Grader, grade_samples, summarise_sets
from judgerlvr.evaluation.outputs import SAMPLES, SUMMARY
from judgerlvr.evaluation.records import Record, write_records
from judgerlvr.models.identity import model_hash
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.requests import Prompts
from judgerlvr.sampling.samples import Item, Sample
from rewards.errors import InputError
from rewards.extraction.extract import Mode
from rewards.extraction.thinking import prompt_opens_thinking
from rewards.gold_matching import warn_of_golds
from rewards.grading.pool import GraderPool
from rewards.grading.settings import GradingSettings
from rewards.verdict import DEFAULT_WORDS
from rewards.verifier import DEFAULT_VERIFIER


@dataclass(frozen=True)
class Settings:
    """How to sample and how to read the samples. The settings are stored with every result.

    ``verdicts`` are the words for a right and a wrong solution. A judge trace counts as checking from
    ``min_check_tokens`` thinking tokens on.
    """

    decoding: Decoding = field(default_factory=Decoding)
    prompt: str = ""  # file of the generation prompt's template
    verifier: str = DEFAULT_VERIFIER
    extraction: Mode = "strict"
    verdicts: tuple[str, ...] = DEFAULT_WORDS
    min_check_tokens: int = 1
    workers: int = 2

    @property
    def decodings(self) -> list[Decoding]:
        """The chosen setting and greedy. Arms of different entropy differ in length by decoding alone."""
        return [self.decoding] if self.decoding.greedy else [self.decoding, self.decoding.as_greedy()]


@dataclass(frozen=True)
class Source:
    """A data file in the summary: name, rows, and the number of rows that were used."""

    file: str
    sha256: str
    rows: int
    used: int


@dataclass
class Evaluation:
    """Graded records, and a row of numbers for each set, kind and decoding.

    ``context`` is the longest total of prompt and response in tokens. None if nothing was sampled.
    ``engine`` holds the arguments of ``vllm.LLM`` that the user gave.
    """

    records: list[Record] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    context: int | None = None
    engine: Mapping[str, Any] = field(default_factory=dict)

    def add(self, samples: Sequence[Sample], decoding: Decoding, grader: Grader, settings: Settings) -> None:
        """Grade samples that share a decoding and append their records and numbers."""
        graded = grade_samples(samples, grader, decoding, settings.verdicts, settings.extraction)
        self.records += graded
        self.results += summarise_sets(graded, decoding, settings.min_check_tokens)

    def summary(
        self, settings: Settings, sources: Iterable[Source], model: Path | None = None, limit: int | None = None
    ) -> dict[str, Any]:
        """Everything of ``summary.json``: the evaluated model or file, the settings, and the numbers."""
        return {
            "model": None if model is None else {"path": str(model), "hash": model_hash(model)},
            "data": [asdict(source) for source in sources],
            "limit": limit,
            "context": self.context,
            "engine": dict(self.engine),
            "settings": asdict(settings),
            "generated_tokens": sum(record.tokens or 0 for record in self.records),
            "results": self.results,
        }


def evaluate_model(
    model_dir: Path,
    items: Sequence[Item],
    settings: Settings,
    engine: Mapping[str, Any] | None = None,
    progress: bool = False,
    whole_limit: bool = False,
) -> Evaluation:
    """Sample every item from one model directory, in each decoding, and grade. One engine serves all decodings.

    Raises:
        InputError: ``whole_limit`` asks for responses of the whole limit, and the model's context is too short.
    """
    from judgerlvr.sampling.sampler import Sampler

    evaluation = Evaluation(engine=engine or {})
    prompts = Prompts(model_dir, items, engine)
    check_limit(prompts, settings.decoding.max_tokens, whole_limit, model_dir)
    with Sampler(model_dir, prompts.needed_context(settings.decoding.max_tokens), engine) as sampler:
        evaluation.context = sampler.context
        # The chat template decides for every prompt alike, so the first prompt is enough.
        opened = prompt_opens_thinking(prompts.text(0))
        with open_grader(settings, opened) as grader:
            _warn_of_golds(items, grader)
            samples = sampler.sample_each(prompts, settings.decodings, progress)
            for decoding, drawn in zip(settings.decodings, samples, strict=True):
                evaluation.add(drawn, decoding, grader, settings)
    return evaluation


def check_limit(prompts: Prompts, limit: int, whole_limit: bool, model_dir: Path) -> None:
    """Refuse a limit that the context leaves no room for, or say where responses will be cut."""
    if not (found := prompts.shortfall(limit)):
        return
    problem, left = found
    if whole_limit or not left:
        remedy = f"give --max-tokens {left}" if left else "give shorter prompts"
        raise InputError(problem, remedy, file=model_dir)
    print(f"{problem}: the response to that prompt is cut at {left}", flush=True)


def evaluate_responses(samples: Sequence[Sample], settings: Settings) -> Evaluation:
    """Grade stored responses. Samples of one item count as repeated samples of the item."""
    counts = Counter((sample.item.set, sample.item.id) for sample in samples)
    evaluation = Evaluation()
    with open_grader(settings) as grader:
        _warn_of_golds([sample.item for sample in samples], grader)
        # Stored items may have unequal numbers of responses, and pass@k needs the largest.
        evaluation.add(samples, Decoding(n=max(counts.values()), stored=True), grader, settings)
    return evaluation


def _warn_of_golds(items: Sequence[Item], grader: GraderPool) -> None:
    """Warn of golds that no right answer matches, once a problem."""
    problems = {(item.set, item.problem.id): item.problem for item in items if item.label is None}
    warn_of_golds(list(problems.values()), grader, "evaluation")


def open_grader(settings: Settings, thinking_open: bool = False) -> GraderPool:
    """The grading processes for these settings; ``thinking_open`` as the rendered prompt leaves it."""
    return GradingSettings(settings.verifier, settings.extraction, settings.workers, thinking_open).open_pool()


def describe_source(path: Path, rows: int, used: int) -> Source:
    """The summary's entry of a data source. What is no single file is hashed by its rows."""
    return Source(str(path), source_sha256(path), rows, used)


def write_evaluation(folder: Path, evaluation: Evaluation, summary: Mapping[str, Any]) -> None:
    """Write ``samples.jsonl`` and, last, ``summary.json``, so that a summary always has its samples."""
    write_records(folder / SAMPLES, evaluation.records)
    # Python writes NaN as a bare word, which other JSON readers refuse.
    text = json.dumps(without_nan(summary), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / SUMMARY).write_text(text + "\n", encoding="utf-8")


def without_nan(value: Any) -> Any:
    """The same data with null for nan, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value
