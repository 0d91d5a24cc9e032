"""Candidates: unlabelled responses of one or more models, the raw material of a judge set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from data.identity import EARLIER_TURNS, GIVEN_ID, earlier_turns, label_of
from data.responses import LICENCE_COLUMNS, SOURCE_COLUMNS
from judgerlvr.runs.metrics import log_progress
from judgerlvr.runs.request import Place
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.engines import EngineSettings
from judgerlvr.sampling.on_ray import ray_engines
from judgerlvr.sampling.plan import Job
from judgerlvr.sampling.samples import Item, Sample, generate_items
from judgerlvr.sampling.store import SampleStore
from judgerlvr.sampling.streaming import sample_items
from rewards.types import Problem

# The set of the items, and the folder in which a run keeps samples while they are drawn.
CANDIDATES, KEPT = "candidates", "candidates.partial"


def sample_candidates(
    place: Place, models: Sequence[Path], problems: Sequence[Problem], template: str, run_dir: Path, folder: Path
) -> list[dict[str, Any]]:
    """Candidate rows of each model in turn, by the decoding of the stage's configuration.

    The samples are kept in ``folder``, so that the same call after a death samples the rest only. Samples of other
    settings are removed.
    """
    config = place.config
    decoding = Decoding(
        n=config.judge.data.samples_per_problem,
        temperature=config.temperature,
        max_tokens=config.generate.max_response_tokens,
        seed=config.seed,
    )
    settings = EngineSettings.of_place(place)
    items = generate_items(problems, template, CANDIDATES)
    jobs = [Job(model, decoding, name) for model, name in zip(models, job_names(models), strict=True)]
    with ray_engines(settings) as engines:
        store = sample_items(
            folder,
            items,
            jobs,
            engines,
            engine=settings.arguments,
            tell=lambda line: log_progress(run_dir, line),
            afresh=True,
        )
    return list(candidate_rows(store, items))


def job_names(models: Sequence[Path]) -> list[str]:
    """The names of directories. Of two directories with one name, each is known by its whole path."""
    counts = Counter(model.name for model in models)
    return [model.name if counts[model.name] == 1 else str(model) for model in models]


def candidate_rows(store: SampleStore, items: Sequence[Item]) -> Iterator[dict[str, Any]]:
    """The samples of a store as rows that every reader of responses takes: job by job, problem by problem."""
    for job, sample in store.samples(items):
        yield candidate_row(sample, store.plan.jobs[job]["name"])


def candidate_row(sample: Sample, model: str) -> dict[str, Any]:
    """One candidate. Columns of the problem that a verifier may read stand in ``extra_info``."""
    problem = sample.item.problem
    shown = {name: problem.meta[name] for name in (*SOURCE_COLUMNS, *LICENCE_COLUMNS) if name in problem.meta}
    extra = {name: value for name, value in problem.meta.items() if name not in (*shown, GIVEN_ID, EARLIER_TURNS)}
    turns = earlier_turns(problem)
    return {
        "id": label_of(problem),
        "problem_id": problem.id,
        "problem": problem.text,
        "gold": problem.gold,
        **shown,
        **({EARLIER_TURNS: turns} if turns else {}),
        **({"extra_info": extra} if extra else {}),
        "response": sample.response,
        "model": model,
        "sample": sample.index,
        "finish_reason": sample.finish_reason,
        "stop_reason": sample.stop_reason,
        "unclosed": sample.unclosed,
        "tokens": sample.tokens,
    }


def pass_rates(store: SampleStore, items: Iterable[Item]) -> Iterator[dict[str, Any]]:
    """A row for each job and problem whose samples were graded in rounds.

    A rule that stops at both classes biases the share of right samples, so that the share is marked as conditional.
    The share of the first round has a fixed number of samples and no bias.
    """
    size = store.plan.rounds["size"]
    outcomes: dict[tuple[str, str, str], dict[int, bool]] = {}
    for record in store.records():
        key = record["job"], record["set"], record["id"]
        outcomes.setdefault(key, {})[record["sample"]] = record["right"]
    problems = {(item.set, item.id): item.problem for item in items}
    for (job, name, item_id), found in sorted(outcomes.items()):
        asked = store.plan.jobs[job]
        first = [right for index, right in found.items() if index < size]
        stopped = 0 < sum(found.values()) < len(found)
        yield {
            "model": asked["name"],
            "id": label_of(problems[name, item_id]),
            "problem_id": item_id,
            "samples": len(found),
            "right": sum(found.values()),
            "stopped_at_both_classes": stopped and len(found) < asked["decoding"]["n"],
            "pass_rate": sum(found.values()) / len(found),
            "conditional": asked["decoding"]["n"] > size,
            "first_round_pass_rate": sum(first) / len(first),
        }
