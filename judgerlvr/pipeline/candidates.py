"""The command ``judgerlvr.sample_candidates``, from parsed options to a file of candidates."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from data.jsonl import write_jsonl
from data.prompts import GENERATE_FIELDS, load_template
from judgerlvr.config.effective import configure
from judgerlvr.config.schema import Config
from judgerlvr.evaluation.options import BOUNDS
from judgerlvr.models.directory import check_model, pick_device
from judgerlvr.models.finite import check_finite
from judgerlvr.models.hub import model_directory
from judgerlvr.models.places import check_output_apart
from judgerlvr.pipeline.problems import ProblemSets
from judgerlvr.runs.console import quiet
from judgerlvr.runs.files import write_atomically
from judgerlvr.runs.metrics import log_progress
from judgerlvr.sampling.candidates import CANDIDATES, candidate_rows, job_names, pass_rates
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.engines import Engines, EngineSettings, engine_arguments
from judgerlvr.sampling.on_ray import ray_engines
from judgerlvr.sampling.plan import Job, Rounds
from judgerlvr.sampling.samples import CUT, Item, Sample, generate_items
from judgerlvr.sampling.store import SampleStore
from judgerlvr.sampling.streaming import sample_items
from rewards.errors import InputError
from rewards.grading.pool import GraderPool
from rewards.grading.settings import GradingSettings
from rewards.wording import counted

# What a model may have of its own, with the type of the value.
OWN: Mapping[str, type[int] | type[float]] = {"n": int, "temperature": float, "top_p": float, "max_tokens": int}
OpenEngines = Callable[[EngineSettings], Any]


def run(options: argparse.Namespace, open_engines: OpenEngines = ray_engines) -> None:
    """Sample what is missing, then write the files of candidates.

    Raises:
        InputError: bad options, models or problems, or a folder that holds samples of other settings.
        NoEngine: no engine could be had; what was sampled stays.
    """
    config = configure(options.config, [*options.overrides, f"data.train={json.dumps(options.data)}"]).config
    jobs = make_jobs(options.model, config)
    if options.round is not None and options.round < 1:
        raise InputError(f"--round is {options.round}", "give a number of samples from 1 on")
    settings = engine_settings(config, options.engines)
    check_output_apart(options.out, [*(job.model for job in jobs), *map(Path, options.data)])
    for job in jobs:
        check_model(job.model, job.decoding.max_tokens, config.model.trust_remote_code)
        check_finite(job.model)
    grading = GradingSettings(config.reward.verifier, config.reward.extraction.value, config.reward.workers)
    problems = ProblemSets(config, grading).train
    items = generate_items(problems, load_template(Path(config.data.prompt), GENERATE_FIELDS), CANDIDATES)
    options.out.mkdir(parents=True, exist_ok=True)
    print(
        f"candidates in {options.out}: {counted(len(jobs), 'model')}, {counted(len(items), 'problem')}, "
        f"on {settings.device}",
        flush=True,
    )
    with quiet(options.out), rounds_of(options.round, grading) as rounds, open_engines(settings) as engines:
        store = _sample(options.out, items, jobs, engines, rounds, settings)
    write_results(options.out, store, items)


def _sample(
    out: Path, items: list[Item], jobs: list[Job], engines: Engines, rounds: Rounds | None, settings: EngineSettings
) -> SampleStore:
    tell = partial(log_progress, out)
    return sample_items(out, items, jobs, engines, rounds=rounds, engine=settings.arguments, tell=tell)


def make_jobs(models: Sequence[Sequence[str]], config: Config) -> list[Job]:
    """A job for each model: the decoding of the configuration with what the model has of its own.

    Raises:
        InputError: an unknown or impossible setting.
    """
    common = Decoding(
        n=config.judge.data.samples_per_problem,
        temperature=config.temperature,
        max_tokens=config.generate.max_response_tokens,
        seed=config.seed,
    )
    folders = [model_directory(words[0]).resolve() for words in models]
    decodings = [_check(replace(common, **_own(words[1:])), words[0]) for words in models]
    return [Job(*parts) for parts in zip(folders, decodings, job_names(folders), strict=True)]


def _own(words: Sequence[str]) -> dict[str, Any]:
    own: dict[str, Any] = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in OWN:
            raise InputError(f"--model has no setting {word!r}", f"use {', '.join(OWN)} as KEY=VALUE")
        try:
            own[name] = OWN[name](value)
        except ValueError as error:
            raise InputError(f"{name} is {value!r}", "give a number", field=name) from error
    return own


def _check(decoding: Decoding, model: str) -> Decoding:
    for name in OWN:
        if not BOUNDS[name].allows(getattr(decoding, name)):
            text = f"{name} of {model} is {getattr(decoding, name)}"
            raise InputError(text, f"give {BOUNDS[name].says}", field=name)
    return replace(decoding, n=1) if decoding.greedy else decoding


def engine_settings(config: Config, count: int | None) -> EngineSettings:
    """Engines on the cluster that ``RAY_ADDRESS`` names, else on this machine."""
    if count is not None and count < 1:
        raise InputError(f"--engines is {count}", "give a number from 1 on")
    cluster = config.cluster
    address = os.environ.get("RAY_ADDRESS") or None
    device = pick_device(cluster.device, address=address)
    return EngineSettings(
        device=device,
        count=count or (1 if device == "cpu" else None),
        tensor_parallel=cluster.tensor_parallel,
        arguments=engine_arguments(cluster, device),
        ray_address=address,
        kv_cache_gib=cluster.rollout_cpu_gib,
    )


@contextmanager
def rounds_of(size: int | None, grading: GradingSettings) -> Iterator[Rounds | None]:
    """The rule of rounds with the grader of the stages, or None without a size."""
    if size is None:
        yield None
        return
    with grading.open_pool() as pool:
        yield Rounds(size, partial(grade, pool), f"{grading.verifier} {grading.mode}")


def grade(pool: GraderPool, samples: Sequence[Sample]) -> list[bool]:
    """Whether each sample is right. Thinking that never closed is wrong, whatever its text holds."""
    results = pool.grade_many([(sample.item.problem, sample.response) for sample in samples])
    return [result.score == 1.0 and not sample.unclosed for sample, result in zip(samples, results, strict=True)]


def write_results(out: Path, store: SampleStore, items: Sequence[Item]) -> None:
    """Write candidates.jsonl, pass_rates.jsonl where rounds were graded, and, last, summary.json."""
    # No reader of responses takes an empty one. The summary counts these samples.
    rows = (row for row in candidate_rows(store, items) if row["response"].strip())
    write_jsonl(out / "candidates.jsonl", rows)
    if store.plan.rounds:
        write_jsonl(out / "pass_rates.jsonl", pass_rates(store, items))
    summary = summarise(store)
    write_atomically(out / "summary.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    print(f"written: {out / 'candidates.jsonl'} (use it with judge.data.responses=[{out / 'candidates.jsonl'}])")


def summarise(store: SampleStore) -> list[dict[str, Any]]:
    """Counts of each job: samples, tokens, reasons to stop, cut samples, and thinking that never closed."""
    found: dict[str, dict[str, Any]] = {
        key: {**job, "samples": 0, "tokens": 0, "truncated": 0, "unclosed_thinking": 0, "empty": 0, "stops": {}}
        for key, job in store.plan.jobs.items()
    }
    for record in store.records():
        counts = found[record["job"]]
        counts["samples"] += 1
        counts["tokens"] += record["tokens"]
        counts["truncated"] += record["finish_reason"] == CUT
        counts["unclosed_thinking"] += record["unclosed"]
        counts["empty"] += not record["response"].strip()
        reason = record["stop_reason"]
        stop = record["finish_reason"] + ("" if reason is None else f" {reason}")
        counts["stops"][stop] = counts["stops"].get(stop, 0) + 1
    return list(found.values())
