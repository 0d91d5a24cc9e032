"""One model through all tasks: sample what is missing, then grade."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from judgerlvr.evaluation.benchmark.graders import open_task_grader
from judgerlvr.evaluation.benchmark.jobs import Job, check_context
from judgerlvr.evaluation.benchmark.kept_samples import KeptSamples, fingerprint
from judgerlvr.evaluation.benchmark.rows import Row, task_row
from judgerlvr.evaluation.grading import grade_samples
from judgerlvr.evaluation.records import Record
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.samples import Item, Sample
from rewards.extraction.thinking import prompt_opens_thinking

KEPT = "samples"
# Samples between two writes. The engine runs dry at the end of each chunk, so that a GPU's is larger.
CHUNK_SAMPLES = {"cpu": 256, "gpu": 4096}


class ModelSampler(Protocol):
    """The part of ``judgerlvr.sampling.sampler.Sampler`` that a benchmark needs."""

    context: int

    def sample(self, items: Sequence[Item], decoding: Decoding, progress: bool = False) -> list[Sample]: ...


OpenSampler = Callable[[Path, int, Mapping[str, Any]], AbstractContextManager[ModelSampler]]


@dataclass(frozen=True)
class Model:
    """A model of the table. ``label`` is unique among the models, and ``context`` counts tokens."""

    label: str
    path: Path
    hash: str
    context: int


@dataclass(frozen=True)
class Settings:
    """How to run. ``chunk`` counts samples between two writes."""

    folder: Path
    chunk: int
    workers: int = 2
    unsandboxed: bool = False
    engine: Mapping[str, Any] = field(default_factory=dict)


def make_model(path: Path, label: str, digest: str, jobs: Sequence[Job]) -> Model:
    """Raises InputError where prompts and limit do not fit into the context."""
    return Model(label, path, digest, check_context(path, jobs))


def run_model(
    model: Model, jobs: Sequence[Job], settings: Settings, open_sampler: OpenSampler
) -> tuple[list[Record], list[Row]]:
    """Records and rows of all tasks. No engine starts where every sample is kept already."""
    kept = {
        (job.task.name, decoding.name): KeptSamples(
            settings.folder / model.label / KEPT / f"{job.task.name}-{decoding.name.replace(' ', '-')}.jsonl",
            fingerprint(model.hash, job.items, decoding),
            job.items,
        )
        for job in jobs
        for decoding in job.decodings
    }
    plan = [(job, decoding, kept[job.task.name, decoding.name]) for job in jobs for decoding in job.decodings]
    if any(store.missing(decoding) for _, decoding, store in plan):
        with open_sampler(model.path, model.context, settings.engine) as sampler:
            for job, decoding, store in plan:
                _sample(f"{model.label} {job.task.name} {decoding.name}", sampler, decoding, store, settings.chunk)
    records, rows = [], []
    for job, decoding, store in plan:
        graded = _grade(job, store.all(decoding), decoding, settings)
        records += graded
        rows.append({"model": model.label, **task_row(graded, decoding)})
        _tell_row(rows[-1])
    return records, rows


def _sample(name: str, sampler: ModelSampler, decoding: Decoding, kept: KeptSamples, chunk: int) -> None:
    """Draw the missing samples and keep them chunk by chunk."""
    missing = kept.missing(decoding)
    size = max(1, chunk // decoding.n)
    for start in range(0, len(missing), size):
        kept.add(sampler.sample(missing[start : start + size], decoding))
        left = decoding.n * max(0, len(missing) - start - size)
        print(f"  {name}: {len(kept.samples)} samples kept, {left} to draw", flush=True)


def _grade(job: Job, samples: Sequence[Sample], decoding: Decoding, settings: Settings) -> list[Record]:
    opened = prompt_opens_thinking(samples[0].prompt_text)
    with open_task_grader(job.task, settings.workers, opened, not settings.unsandboxed) as grader:
        return grade_samples(samples, grader, decoding)


def _tell_row(row: Row) -> None:
    reasons = ", ".join(f"{name} {count}" for name, count in row["reasons"].items())
    accuracy = row["accuracy"]["value"]
    print(f"  {row['model']} {row['set']} {row['decoding']['name']}: accuracy {accuracy:.3f} ({reasons})", flush=True)
