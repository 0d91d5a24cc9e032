"""Both stages from the command line to a published policy. The order of a run can be read off ``_train``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from judgerlvr.config.check import check_config, refresh_every
from judgerlvr.config.load import load_config, resolve_path
from judgerlvr.config.schema import Config
from judgerlvr.engine.runner import StageFailed, run_stage
from judgerlvr.models.directory import check_hysparse, check_model, pick_device
from judgerlvr.pipeline.dry_run import dry_run
from judgerlvr.pipeline.export import check_export, check_link, publish
from judgerlvr.pipeline.generate_data import prepare_generate
from judgerlvr.pipeline.judge_data import prepare_judge, resample
from judgerlvr.pipeline.refresh import train_in_segments
from judgerlvr.runs.checkpoints import export_dir
from judgerlvr.runs.console import last_lines, quiet
from judgerlvr.runs.folder import defaults_taken, new_run, open_run
from judgerlvr.runs.manifest import update_manifest
from judgerlvr.runs.resume_state import load_stage, save_stage, trim_metrics
from judgerlvr.runs.stage import Kind, Stage, derived
from rewards.errors import InputError


@dataclass(frozen=True)
class Request:
    """What the command line asks of a stage, checked."""

    kind: Kind
    config: Config
    init: Path
    link: Path
    device: str
    ray_address: str | None


Prepare = Callable[[Request, Path], Stage]


def run_judge_stage(options: argparse.Namespace) -> None:
    """``python -m judgerlvr.stage1_judge``."""
    options.init = None
    _run("judge", options, _prepare_judge)


def run_generate_stage(options: argparse.Namespace) -> None:
    """``python -m judgerlvr.stage2_generate``."""
    _run("generate", options, _prepare_generate)


def _run(kind: Kind, options: argparse.Namespace, prepare: Prepare) -> None:
    _check_exclusive(options, "overrides", "init")
    if options.resume:
        _resume(kind, options)
        return
    config = load_config(options.config, options.overrides)
    request = _check(kind, config, options)
    if options.dry_run:
        dry_run(request.kind, config, request.init, request.device, request.ray_address)
        return
    check_link(request.link, None)
    run_dir = new_run(config, kind)
    print(f"{kind} stage in {run_dir}: {request.init} on {request.device}", flush=True)
    with quiet(run_dir):
        stage = prepare(request, run_dir)
    save_stage(stage)
    _train(stage, request.link)


def _check_exclusive(options: argparse.Namespace, *names: str) -> None:
    """``--resume`` continues a run as it was, so nothing that would change it may stand beside it."""
    for name in names:
        if options.resume and getattr(options, name):
            what = "key=value" if name == "overrides" else f"--{name}"
            raise InputError(f"--resume and {what} together", f"leave out {what}, or start a new run")


def _check(kind: Kind, config: Config, options: argparse.Namespace) -> Request:
    """Everything that can be told before a model is loaded.

    Raises:
        InputError: the first thing that is wrong, with its remedy.
    """
    check_config(config)
    init = resolve_path(options.init or config.model.path).resolve()
    settings = config.judge if kind == "judge" else config.generate
    check_model(init, config.max_prompt_tokens + settings.max_response_tokens, config.model.trust_remote_code)
    check_hysparse(init, config.cluster)
    device = pick_device(config.cluster.device)
    return Request(kind, config, init, options.out or Path("ckpt") / kind, device, os.environ.get("RAY_ADDRESS"))


def _prepare_judge(request: Request, run_dir: Path) -> Stage:
    return prepare_judge(request.config, run_dir, request.init, request.device, request.ray_address)


def _prepare_generate(request: Request, run_dir: Path) -> Stage:
    return prepare_generate(request.config, run_dir, request.init, request.device, request.ray_address)


def _resume(kind: Kind, options: argparse.Namespace) -> None:
    run_dir = options.resume.resolve()
    config, checkpoint = open_run(run_dir, kind)
    link = options.out or Path("ckpt") / kind
    check_link(link, run_dir)
    stage = load_stage(run_dir, config, checkpoint, os.environ.get("RAY_ADDRESS"))
    trim_metrics(run_dir, checkpoint)
    where = checkpoint.name if checkpoint else "the start"
    print(f"{kind} stage in {run_dir}: continuing from {where}", flush=True)
    if line := defaults_taken(run_dir):
        print(line, flush=True)
    _train(stage, link)


def _train_to_the_end(stage: Stage) -> Path:
    every = refresh_every(stage.config) if stage.kind == "judge" else 0
    return train_in_segments(stage, every, partial(resample, stage)) if every else run_stage(stage)


def _train(stage: Stage, link: Path) -> None:
    for name, value in derived(stage).items():
        print(f"  {name}: {value}", flush=True)
    try:
        with quiet(stage.run_dir):
            checkpoint = _train_to_the_end(stage)
    except StageFailed:
        print(f"{last_lines(stage.run_dir)}\nresume with: --resume {stage.run_dir}", flush=True)
        raise
    difference = check_export(checkpoint, stage.config.model.trust_remote_code)
    publish(link, export_dir(checkpoint))
    # Last: it marks the run as over, and a run that ended before its policy was published can still be resumed.
    update_manifest(stage.run_dir, export=str(export_dir(checkpoint)), export_difference=difference)
    print(f"done: {link} -> {export_dir(checkpoint)} (reloaded, log-probabilities within {difference:.1e})", flush=True)
