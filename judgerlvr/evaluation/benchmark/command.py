"""The command ``judgerlvr.benchmark``, from parsed options to files."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from judgerlvr.config.load import resolve_path
from judgerlvr.evaluation.benchmark.graders import why_not_scored
from judgerlvr.evaluation.benchmark.jobs import Job, make_job
from judgerlvr.evaluation.benchmark.overlaps import between_tasks, origin_lines, with_training
from judgerlvr.evaluation.benchmark.report import FILES, describe_model, describe_task, write_model, write_report
from judgerlvr.evaluation.benchmark.rows import averages, differences
from judgerlvr.evaluation.benchmark.run import OpenEngines, Settings, make_model, refuse_other_samples, run_model
from judgerlvr.evaluation.benchmark.suite import Entry, read_suite
from judgerlvr.evaluation.benchmark.table import to_markdown
from judgerlvr.evaluation.command import engine_options
from judgerlvr.evaluation.options import check_bounds
from judgerlvr.evaluation.tasks.files import NoAccess, TaskData
from judgerlvr.models.directory import pick_device
from judgerlvr.models.hub import model_directory
from judgerlvr.models.identity import model_hash
from judgerlvr.models.places import check_output_apart
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.engines import Engines, EngineSettings
from rewards.errors import InputError
from rewards.wording import counted


def benchmark(options: argparse.Namespace, open_engines: OpenEngines | None = None) -> None:
    """Run the suite on every model. ``open_engines`` replaces the engines in tests."""
    check_bounds(options)
    paths = [model_directory(path) for path in options.model]
    labels = model_labels(paths)
    engine = engine_settings(options.engine)
    suite = resolve_path(options.suite)
    folder = options.out or Path("runs/benchmark") / suite.stem
    check_output_apart(folder, paths)
    loaded, not_run = load_entries(read_suite(suite), options.allow_unsandboxed_code)
    jobs = make_jobs(loaded, options)
    hashes = [model_hash(path) for path in paths]
    models = [make_model(*each, jobs, engine) for each in zip(paths, labels, hashes, strict=True)]
    settings = Settings(folder, engine, options.workers, options.allow_unsandboxed_code)
    for model in models:
        refuse_other_samples(model, jobs, settings)
    report = describe(loaded, not_run, options)
    report["settings"]["engine"] = dict(engine.arguments)
    data = {entry.task.name: found for entry, found in loaded}
    report["models"] = [describe_model(model, tell_origin(model.label, model.path, data)) for model in models]
    report["shared"] = [asdict(found) for found in between_tasks(data)]
    rows: list[dict[str, Any]] = []
    for model in models:
        records, found = run_model(model, jobs, settings, open_engines or on_ray)
        write_model(folder, model, records, found, report)
        rows += found
    domains = {task["name"]: task["domain"] for task in report["tasks"]}
    report |= {"rows": rows, "averages": averages(rows, domains), "differences": differences(rows, labels[0])}
    written = write_report(folder, report)
    print(to_markdown(report))
    print(f"written: {', '.join(map(str, written))}")


def on_ray(settings: EngineSettings) -> AbstractContextManager[Engines]:
    from judgerlvr.sampling.on_ray import ray_engines  # after all checks: Ray takes a second to import

    return ray_engines(settings)


def engine_settings(pairs: Sequence[str]) -> EngineSettings:
    """Engines on all GPUs of this machine, or one engine on the CPU.

    Raises:
        InputError: a pair without a value.
    """
    arguments = engine_options(pairs)
    parallel = int(arguments.pop("tensor_parallel_size", 1))
    device = pick_device("auto")
    return EngineSettings(device, 1 if device == "cpu" else None, parallel, arguments)


def model_labels(paths: Sequence[Path]) -> list[str]:
    """A label a model: the last part of its path, and more parts where two models share the last part.

    A label names a folder beside the files of the report, and is none of the names of those files.

    Raises:
        InputError: a path is no model directory, or one model is named twice.
    """
    for path in paths:
        if not (path / "config.json").is_file():
            raise InputError("no model directory (no config.json)", "give --model DIR", file=path)
    whole = [path.resolve() for path in paths]
    if len(set(whole)) < len(whole):
        raise InputError("one model is named twice", "name each model once")
    for parts in range(1, max(len(path.parts) for path in whole) + 1):
        labels = ["-".join(path.parts[-parts:]).strip("/") for path in whole]
        if len({*labels, *FILES}) == len(labels) + len(FILES):
            break
    return labels


def load_entries(
    entries: Sequence[Entry], unsandboxed: bool
) -> tuple[list[tuple[Entry, TaskData]], list[tuple[Entry, str]]]:
    """Entries with their data, and entries that cannot run here with the reason, which is printed as a line."""
    loaded, not_run = [], []
    for entry in entries:
        try:
            data = entry.load()
            why = why_not_scored(entry.task, data.problems, unsandboxed)
        except NoAccess as reason:
            why = str(reason)
        if why:
            print(f"{entry.task.name}: not run: {why}", flush=True)
            not_run.append((entry, why))
        else:
            loaded.append((entry, data))
    if not loaded:
        raise InputError("no task of the suite can run", "see the lines above")
    return loaded, not_run


def make_jobs(loaded: Sequence[tuple[Entry, TaskData]], options: argparse.Namespace) -> list[Job]:
    decoding = Decoding(1, options.temperature, options.top_p, options.max_tokens, options.seed)
    return [make_job(entry.task, data, decoding, options.greedy, options.limit) for entry, data in loaded]


def describe(
    loaded: Sequence[tuple[Entry, TaskData]], not_run: Sequence[tuple[Entry, str]], options: argparse.Namespace
) -> dict[str, Any]:
    """The part of the report that is known before sampling."""
    names = ("temperature", "top_p", "max_tokens", "seed", "limit", "greedy")
    return {
        "tasks": [
            *(describe_task(entry, data, "") for entry, data in loaded),
            *(describe_task(entry, None, why) for entry, why in not_run),
        ],
        "settings": {name: getattr(options, name) for name in names},
    }


def tell_origin(label: str, model: Path, data: Mapping[str, TaskData]) -> list[Any]:
    """Overlaps of a model's training sets with the tasks. What is known of the model is printed."""
    print("\n".join([f"model {label} ({model})", *origin_lines(model)]), flush=True)
    found = with_training(model, data)
    for overlap in found:
        count = "not known" if overlap.count is None else f"{overlap.count} of {counted(overlap.of, 'problem')}"
        print(f"  trained in run {overlap.where}: {overlap.task}: {count}", flush=True)
    return found
