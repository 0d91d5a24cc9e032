"""Both stages from a request to a published policy. The order of a run can be read off ``run`` and ``_train``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from judgerlvr.config.check import check_config, refresh_every
from judgerlvr.config.load import resolve_path
from judgerlvr.config.schema import Config
from judgerlvr.engine.runner import StageFailed, run_stage
from judgerlvr.export.policy import export_policy
from judgerlvr.models.directory import check_hysparse, check_model, load_tokenizer, pick_device
from judgerlvr.models.identity import model_hash
from judgerlvr.pipeline.checks import check_resumed, check_stage, check_start
from judgerlvr.pipeline.export import check_link, publish
from judgerlvr.pipeline.generate_data import prepare_generate
from judgerlvr.pipeline.judge_data import prepare_judge, resample
from judgerlvr.pipeline.problems import ProblemSets
from judgerlvr.pipeline.refresh import train_in_segments
from judgerlvr.pipeline.reward_settings import grading_settings
from judgerlvr.runs.checkpoints import step_of
from judgerlvr.runs.console import last_lines, quiet
from judgerlvr.runs.folder import defaults_taken, new_run, open_run
from judgerlvr.runs.manifest import make_manifest, read_manifest, write_manifest
from judgerlvr.runs.request import Request
from judgerlvr.runs.resume_state import load_stage, save_stage, trim_metrics
from judgerlvr.runs.stage import Kind, Stage, derived

PREPARE = {"judge": prepare_judge, "generate": prepare_generate}


def make_request(
    kind: Kind, config: Config, init: Path | None = None, link: Path | None = None, here: bool = True
) -> Request:
    """The request for one stage, checked as far as can be told before a model is loaded.

    ``init`` is the starting policy, by default ``model.path``. ``link`` names the finished policy, by default
    ``ckpt/judge`` or ``ckpt/generate``. The cluster is the one that ``RAY_ADDRESS`` names, if any.
    Without ``here`` the stage is planned only, so that its GPUs may be elsewhere.

    Raises:
        InputError: the first thing that is wrong, with its remedy.
    """
    check_config(config)
    policy = resolve_path(init or config.model.path).resolve()
    request = Request(
        kind=kind,
        config=config,
        init=policy,
        link=link or _default_link(kind),
        device=pick_device(config.cluster.device, here),
        ray_address=os.environ.get("RAY_ADDRESS"),
    )
    longest = config.max_prompt_tokens + request.settings.max_response_tokens
    check_model(policy, longest, config.model.trust_remote_code)
    check_hysparse(policy, config.cluster)
    check_start(request)
    return request


def _default_link(kind: Kind) -> Path:
    return Path("ckpt") / kind


def run(request: Request) -> Path:
    """Run one stage to its end; returns the directory of the finished policy.

    Raises:
        InputError: bad data or a name that is taken.
        StageFailed: the stage ended early.
    """
    check_link(request.link, None)
    run_dir = new_run(request.config, request.kind)
    print(f"{request.kind} stage in {run_dir}: {request.init} on {request.device}", flush=True)
    with quiet(run_dir):
        tokenizer = load_tokenizer(request.init, request.config.model.trust_remote_code)
        problems = ProblemSets(request.config, grading_settings(request.config, tokenizer))
        stage, counts = PREPARE[request.kind](request, run_dir, tokenizer, problems)
        write_manifest(run_dir, make_manifest(stage, counts))
    check_stage(stage)
    save_stage(stage)
    return _train(stage, request.link, problems)


def resume(kind: Kind, run_dir: Path, link: Path | None = None, overrides: Sequence[str] = ()) -> Path:
    """Continue a run from its newest complete checkpoint; returns the directory of the finished policy.

    ``overrides`` may change what the run computes on, the number of GPUs for example.

    Raises:
        InputError: no run to continue, or its data has changed.
        StageFailed: the stage ended early.
    """
    opened = open_run(run_dir.resolve(), kind, overrides)
    check_config(opened.config)
    link = link or _default_link(kind)
    check_link(link, opened.folder)
    stage = load_stage(opened, os.environ.get("RAY_ADDRESS"))
    check_resumed(stage)
    trim_metrics(opened.folder, opened.checkpoint)
    where = opened.checkpoint.name if opened.checkpoint else "the start"
    print(f"{kind} stage in {opened.folder}: continuing from {where}", flush=True)
    if line := defaults_taken(opened.folder):
        print(line, flush=True)
    tokenizer = load_tokenizer(stage.init, stage.config.model.trust_remote_code)
    return _train(stage, link, ProblemSets(stage.config, grading_settings(stage.config, tokenizer)))


def _train_to_the_end(stage: Stage, problems: ProblemSets) -> Path:
    if stage.resume_from and _was_trained(stage, stage.resume_from):
        return stage.resume_from
    every = refresh_every(stage.config) if stage.kind == "judge" else 0
    return train_in_segments(stage, every, partial(resample, problems, stage)) if every else run_stage(stage)


def _was_trained(stage: Stage, checkpoint: Path) -> bool:
    """Training ended with this checkpoint, and only its policy is wanting: no engine needs to start."""
    ended = read_manifest(stage.run_dir).trained == checkpoint.name
    return ended or step_of(checkpoint) >= stage.settings.stop.steps


def _train(stage: Stage, link: Path, problems: ProblemSets) -> Path:
    for name, value in derived(stage).items():
        print(f"  {name}: {value}", flush=True)
    try:
        with quiet(stage.run_dir):
            checkpoint = _train_to_the_end(stage, problems)
    except StageFailed:
        print(f"{last_lines(stage.run_dir)}\nresume with: --resume {stage.run_dir}", flush=True)
        raise
    return _publish(stage, link, checkpoint)


def _publish(stage: Stage, link: Path, checkpoint: Path) -> Path:
    """Export the checkpoint's policy, prove it, give it its name; returns its directory."""
    manifest = replace(read_manifest(stage.run_dir), trained=checkpoint.name)
    write_manifest(stage.run_dir, manifest)
    exported = export_policy(checkpoint)
    policy = exported.folder
    publish(link, policy, stage.run_dir)
    # Last: the manifest's export marks the run as over. A run that ended unpublished can still be resumed.
    finished = replace(manifest, export=str(policy.relative_to(stage.run_dir)), model_hash=model_hash(policy))
    write_manifest(stage.run_dir, replace(finished, changed_weights=exported.change.share))
    print(f"done: {link} -> {policy} ({exported})", flush=True)
    return policy
