"""One model through all tasks: sample what is missing, then grade."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from judgerlvr.evaluation.benchmark.graders import open_task_grader
from judgerlvr.evaluation.benchmark.jobs import Job, check_context
from judgerlvr.evaluation.benchmark.loaded_once import LoadedOnce
from judgerlvr.evaluation.benchmark.rows import Row, task_row
from judgerlvr.evaluation.grading import grade_samples
from judgerlvr.evaluation.records import Record
from judgerlvr.models.directory import check_model
from judgerlvr.models.finite import check_finite
from judgerlvr.sampling import plan
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.engines import Engines, EngineSettings
from judgerlvr.sampling.samples import Sample
from judgerlvr.sampling.store import SampleStore
from judgerlvr.sampling.streaming import sample_items
from rewards.extraction.thinking import prompt_opens_thinking
from rewards.gold_matching import match_golds
from rewards.grading.pool import GraderPool
from rewards.wording import counted

# Samples of each task lie in a folder of their own, so that a longer suite goes on with the samples of a shorter one.
SAMPLES = "samples"
OpenEngines = Callable[[EngineSettings], AbstractContextManager[Engines]]


@dataclass(frozen=True)
class Model:
    """A model of the table. ``label`` is unique among the models, and ``context`` counts tokens."""

    label: str
    path: Path
    hash: str
    context: int


@dataclass(frozen=True)
class Settings:
    """Where and how to run. ``unsandboxed`` runs sampled code without a sandbox."""

    folder: Path
    engine: EngineSettings
    workers: int = 2
    unsandboxed: bool = False


def make_model(path: Path, label: str, digest: str, jobs: Sequence[Job], engine: EngineSettings) -> Model:
    """Raises InputError for a model that cannot be used, or where prompts and limit do not fit into the context."""
    check_model(path, longest=1)
    check_finite(path)
    return Model(label, path, digest, check_context(path, jobs, engine.arguments))


def run_model(
    model: Model, jobs: Sequence[Job], settings: Settings, open_engines: OpenEngines
) -> tuple[list[Record], list[Row]]:
    """Records and rows of all tasks. Samples of an earlier attempt are kept."""
    with open_engines(settings.engine) as engines:
        loaded = LoadedOnce(engines, model.context)
        stores = [_sample(model, job, settings, loaded) for job in jobs]
    records: list[Record] = []
    rows: list[Row] = []
    for job, store in zip(jobs, stores, strict=True):
        for decoding, samples in _by_decoding(job, store):
            graded, unmatched = _grade(job, samples, decoding, settings)
            records += graded
            row = task_row(graded, decoding, answers=unmatched is not None)
            rows.append({"model": model.label, **row, "golds_never_matched": unmatched})
            _tell_row(rows[-1])
    return records, rows


def refuse_other_samples(model: Model, jobs: Sequence[Job], settings: Settings) -> None:
    """Raise InputError where a task's folder holds samples of other settings, before any engine starts."""
    for job in jobs:
        wanted = plan.Plan.of(job.items, _asked(model, job), None, settings.engine.arguments)
        SampleStore(_folder(model, job, settings), wanted).refuse_others()


def _folder(model: Model, job: Job, settings: Settings) -> Path:
    return settings.folder / model.label / SAMPLES / job.task.name


def _asked(model: Model, job: Job) -> list[plan.Job]:
    return [plan.Job(model.path, decoding, model.label) for decoding in job.decodings]


def _sample(model: Model, job: Job, settings: Settings, engines: Engines) -> SampleStore:
    print(f"{model.label}, {job.task.name}", flush=True)
    folder, asked = _folder(model, job, settings), _asked(model, job)
    return sample_items(folder, job.items, asked, engines, engine=settings.engine.arguments, tell=_tell)


def _by_decoding(job: Job, store: SampleStore) -> list[tuple[Decoding, list[Sample]]]:
    """The samples of a task, decoding by decoding, item by item."""
    samples: dict[str, list[Sample]] = {key: [] for key in store.plan.jobs}
    for key, sample in store.samples(job.items):
        samples[key].append(sample)
    return list(zip(job.decodings, samples.values(), strict=True))


def _grade(
    job: Job, samples: Sequence[Sample], decoding: Decoding, settings: Settings
) -> tuple[list[Record], int | None]:
    """Records, and how many golds no right answer matches. None where the grader reads no answers."""
    opened = prompt_opens_thinking(samples[0].prompt_text)
    with open_task_grader(job.task, settings.workers, opened, not settings.unsandboxed) as grader:
        unmatched = None
        if isinstance(grader, GraderPool) and grader.reads_answers:
            unmatched = len(match_golds([item.problem for item in job.items], grader).never)
        return grade_samples(samples, grader, decoding), unmatched


def _tell(line: str) -> None:
    print(line, flush=True)


def _tell_row(row: Row) -> None:
    reasons = ", ".join(f"{name} {count}" for name, count in row["reasons"].items())
    accuracy = row["accuracy"]["value"]
    _tell(f"  {row['model']} {row['set']} {row['decoding']['name']}: accuracy {accuracy:.3f} ({reasons})")
    if row["golds_never_matched"]:
        _tell(f"  warning: {row['set']}: {counted(row['golds_never_matched'], 'gold')} matched by no other spelling")
