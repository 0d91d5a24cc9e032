"""Both stages from a request to a published policy. The order of a run can be read off ``run`` and ``_train``."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from safetensors import SafetensorError

from judgerlvr.cli import MODULES
from judgerlvr.config.check import check_config, refresh_every
from judgerlvr.config.load import load_stored
from judgerlvr.config.schema import Kind
from judgerlvr.engine.forked_imports import import_once
from judgerlvr.engine.runner import run_stage
from judgerlvr.engine.signals import Interrupted, asked_by, heard
from judgerlvr.export.policy import export_policy
from judgerlvr.export.whole import check_checkpoint
from judgerlvr.models.directory import load_tokenizer
from judgerlvr.models.identity import model_hash
from judgerlvr.models.weights import check_weights
from judgerlvr.pipeline.checks import check_resumed, check_stage
from judgerlvr.pipeline.export import check_link, check_outside, publish, shortest_shown
from judgerlvr.pipeline.generate_data import prepare_generate
from judgerlvr.pipeline.judge_data import prepare_judge, resample
from judgerlvr.pipeline.problems import ProblemSets
from judgerlvr.pipeline.refresh import train_in_segments
from judgerlvr.pipeline.reward_settings import grading_settings
from judgerlvr.runs.checkpoints import complete, export_dir, step_of
from judgerlvr.runs.comparison import Change, changes, is_raise, may_change
from judgerlvr.runs.console import ENGINE_LOG, quiet
from judgerlvr.runs.folder import (
    CONFIG,
    defaults_taken,
    end_of,
    existing_run,
    is_prepared,
    open_run,
    run_folder,
    write_config,
)
from judgerlvr.runs.lock import held
from judgerlvr.runs.manifest import Manifest, make_manifest, read_manifest, write_manifest
from judgerlvr.runs.metrics import METRICS, log_phase, read_metrics
from judgerlvr.runs.object_storage import copy_elsewhere
from judgerlvr.runs.policy_card import card_of, curl_command, run_card, serve_command, write_card
from judgerlvr.runs.request import Request, default_link
from judgerlvr.runs.resume_state import load_stage, save_stage, trim_metrics
from judgerlvr.runs.stage import STOP, Stage, derived
from judgerlvr.sampling.candidates import KEPT
from rewards.errors import FAILED, CommandFailed, InputError, machine_fault
from rewards.wording import counted

BEGIN_AGAIN = "the same command goes on with what is prepared"
PREPARE = {"judge": prepare_judge, "generate": prepare_generate}


def run(request: Request, new: bool = False) -> Path:
    """Begin a stage, continue it, or find it finished; returns the directory of the finished policy.

    The run folder decides: the same request again continues what lies there. ``new`` takes an unused folder.

    Raises:
        InputError: bad data, a name that is taken, a folder in use, or a request that differs from the run there.
        StageFailed: the stage ended early.
    """
    check_link(request.link, None if new else existing_run(request.folder))
    check_outside(request.link, request.folder)
    run_dir = run_folder(request.folder, new)
    with held(run_dir), _signals(request.kind, run_dir, request.link):
        if is_prepared(run_dir):
            return _run_again(request, run_dir)
        write_config(run_dir, request.config)
        return _train(*_prepare(request, run_dir))


def _prepare(request: Request, run_dir: Path) -> tuple[Stage, Path, ProblemSets]:
    print(f"{request.kind} stage in {run_dir}: {request.init} on {request.device}", flush=True)
    import_once(request.device, request.ray_address)
    with quiet(run_dir):
        log_phase(run_dir, "reading the problems")
        tokenizer = load_tokenizer(request.init, request.config.model.trust_remote_code)
        problems = ProblemSets(request.config, grading_settings(request.config.reward, tokenizer))
        stage, counts = PREPARE[request.kind](request, run_dir, tokenizer, problems)
        write_manifest(run_dir, make_manifest(stage, counts))
    write_card(run_dir, card_of(stage))
    check_stage(stage)
    save_stage(stage)
    # From here on the samples are in the training data.
    shutil.rmtree(stage.data / KEPT, ignore_errors=True)
    return stage, request.link, problems


def _check_policy(policy: Path, checkpoint: Path) -> None:
    """Raise an InputError where the policy of a finished run is gone or cut. The shards still hold its weights."""
    remedy = f"remove what is left of the policy, then write it again: python -m judgerlvr.export {checkpoint}"
    if not any(policy.glob("*.safetensors")):
        raise InputError("the policy of the finished run is gone", remedy, file=policy)
    try:
        check_weights(policy)
    except InputError as error:
        raise InputError(
            f"the policy of the finished run is damaged: {error.problem}", remedy, file=error.file
        ) from error


def _run_again(request: Request, run_dir: Path) -> Path:
    """What the same command means for a folder that holds a prepared run."""
    manifest = read_manifest(run_dir)
    if manifest.stage != request.kind:
        raise InputError(f"holds a {manifest.stage} run", "give another name=", file=run_dir)
    found = changes(load_stored(run_dir / CONFIG, manifest.device), request.config, request.kind)
    runs = Path(request.config.runs)
    _check_same(request, run_dir, manifest, [one for one in found if not may_change(one, request.kind, runs)])
    ended = end_of(run_dir, manifest)
    if ended and not _may_go_on(request, ended, manifest, found):
        policy = export_dir(ended)
        _check_policy(policy, ended)
        publish(request.link, policy, run_dir)
        print(f"already finished: {request.link} -> {policy} (--new starts another run)", flush=True)
        return policy
    if found:
        print(f"changed, and the run goes on: {', '.join(map(str, found))}", flush=True)
        write_config(run_dir, request.config)
    if ended:
        steps = request.settings.stop.steps
        reopened = replace(manifest, steps=steps, export=None, model_hash=None, trained=None, changed_weights=None)
        write_manifest(run_dir, reopened)
    return _continue(request.kind, run_dir, request.link, init=request.init)


def _check_same(request: Request, run_dir: Path, manifest: Manifest, different: list[Change]) -> None:
    """Refuse to continue a run with other settings or from another policy."""
    parent = manifest.parent
    # A policy may have been moved, so a differing path is settled by the hash.
    if str(request.init) != parent.path and model_hash(request.init) != parent.hash:
        different = [*different, Change("starting policy", parent.path, request.init)]
    if different:
        listed = ", ".join(map(str, different))
        raise InputError(f"the run there differs: {listed}", "give its settings, another name=, or --new", file=run_dir)


def _may_go_on(request: Request, ended: Path, manifest: Manifest, raised: list[Change]) -> bool:
    """Whether the run ended by a limit that is raised now."""
    by_steps = manifest.steps is not None and step_of(ended) >= manifest.steps
    limits = [change for change in raised if is_raise(change, request.kind)]
    return any(change.key.endswith("stop.steps") == by_steps for change in limits)


def resume(kind: Kind, run_dir: Path, link: Path | None = None, overrides: Sequence[str] = ()) -> Path:
    """Continue a run from its newest complete checkpoint; returns the directory of the finished policy.

    ``overrides`` may change what the run computes on, the number of GPUs for example.

    Raises:
        InputError: no run to continue, a folder in use, or data that has changed.
        StageFailed: the stage ended early.
    """
    # Looked at before the lock, which would be left in a folder of other things.
    if not (run_dir / CONFIG).is_file():
        raise InputError("no run to resume", "give a run folder", file=run_dir)
    run_dir, link = run_dir.resolve(), link or default_link(kind)
    with held(run_dir), _signals(kind, run_dir, link):
        return _continue(kind, run_dir, link, overrides)


@contextmanager
def _signals(kind: Kind, run_dir: Path, link: Path) -> Iterator[None]:
    """Hear signals also while the stage prepares, starts its engines or publishes, and say how the run goes on."""
    # A stop file of the last start would end the run at once.
    (run_dir / STOP).unlink(missing_ok=True)
    try:
        with heard(run_dir / STOP):
            yield
    except Interrupted as end:
        how = f"continue with: {resume_command(kind, run_dir, link)}" if is_prepared(run_dir) else BEGIN_AGAIN
        raise StageStopped(f"{end}; no step was at work; {how}", 128 + end.number) from end


def _continue(kind: Kind, run_dir: Path, link: Path, overrides: Sequence[str] = (), init: Path | None = None) -> Path:
    opened = open_run(run_dir, kind, overrides)
    check_config(opened.config)
    check_link(link, opened.folder)
    stage = load_stage(opened, os.environ.get("RAY_ADDRESS"), init)
    run_card(stage)
    if opened.checkpoint:
        check_checkpoint(opened.checkpoint)
    check_resumed(stage)
    import_once(stage.device, stage.ray_address)
    # Checked first: a refused command must leave the log as the log was.
    trim_metrics(opened.folder, opened.checkpoint)
    where = opened.checkpoint.name if opened.checkpoint else "the start"
    print(f"{kind} stage in {opened.folder}: continuing from {where}", flush=True)
    if line := defaults_taken(opened.folder):
        print(line, flush=True)
    tokenizer = load_tokenizer(stage.init, stage.config.model.trust_remote_code)
    return _train(stage, link, ProblemSets(stage.config, grading_settings(stage.config.reward, tokenizer)))


def _train_to_the_end(stage: Stage, problems: ProblemSets) -> Path:
    if stage.resume_from and _was_trained(stage, stage.resume_from):
        return stage.resume_from
    every = refresh_every(stage.config.judge.data.candidates) if stage.kind == "judge" else 0
    return train_in_segments(stage, every, partial(resample, problems, stage)) if every else run_stage(stage)


def _was_trained(stage: Stage, checkpoint: Path) -> bool:
    """Training ended with this checkpoint, and only its policy is wanting: no engine needs to start."""
    ended = read_manifest(stage.run_dir).trained == checkpoint.name
    return ended or step_of(checkpoint) >= stage.settings.stop.steps


def _train(stage: Stage, link: Path, problems: ProblemSets) -> Path:
    for name, value in derived(stage).items():
        print(f"  {name}: {value}", flush=True)
    with _resumable(stage, link):
        with quiet(stage.run_dir):
            checkpoint = _train_to_the_end(stage, problems)
        # A run that reached the last step is finished even where a stop was asked for.
        stopped = (stage.run_dir / STOP).exists() and step_of(checkpoint) < stage.settings.stop.steps
        if not stopped:
            return _publish(stage, link, checkpoint)
    signal = asked_by(stage.run_dir / STOP)
    why, code = (f"{signal.name}, the step was finished", 128 + signal) if signal else ("stopped as asked", FAILED)
    raise StageStopped(f"{why}; {_left_behind(stage, link)}", code)


@contextmanager
def _resumable(stage: Stage, link: Path) -> Iterator[None]:
    """An early end of the block says how the run goes on. The cause is the last line."""
    try:
        yield
    except Interrupted as signal:
        raise StageStopped(f"{signal}; {_left_behind(stage, link)}", 128 + signal.number) from signal
    except (CommandFailed, OSError, SafetensorError) as error:
        if isinstance(error, CommandFailed) or machine_fault(error):
            # The libraries' own lines stay in the log: the cause comes last, in one line.
            print(f"all that the engines said: {stage.run_dir / ENGINE_LOG}", flush=True)
            print(_left_behind(stage, link), flush=True)
        raise


class StageStopped(CommandFailed):
    """A stage that was asked to stop. The exit code is 128 plus the signal's number, 1 without a signal."""

    def __init__(self, cause: str, code: int = FAILED) -> None:
        super().__init__(cause)
        self.code = code


def _left_behind(stage: Stage, link: Path) -> str:
    """The last seal, the steps after the seal, and the command that goes on."""
    sealed = complete(stage.checkpoints)
    kept = step_of(sealed[-1]) if sealed else 0
    # The log counts steps that no checkpoint holds.
    trained = max((row.step for row in read_metrics(stage.run_dir / METRICS)), default=0)
    seal = f"sealed up to step {kept}" if sealed else "nothing sealed yet"
    command = resume_command(stage.kind, stage.run_dir, link)
    return f"{seal}, {counted(max(0, trained - kept), 'step')} lost; continue with: {command}"


def resume_command(kind: Kind, run_dir: Path, link: Path) -> str:
    """The whole command that continues a run, wherever it is given."""
    words = ["python", "-m", f"judgerlvr.{MODULES[kind]}", "--resume", str(run_dir), "--out", str(link.absolute())]
    return shlex.join(words)


def _publish(stage: Stage, link: Path, checkpoint: Path) -> Path:
    """Export the checkpoint's policy, prove it, give it its name; returns its directory."""
    manifest = replace(read_manifest(stage.run_dir), trained=checkpoint.name)
    write_manifest(stage.run_dir, manifest)
    print("  writing the policy and comparing it with the shards", flush=True)
    exported = export_policy(checkpoint, lambda line: print(f"  {line}", flush=True))
    policy, card = exported.folder, run_card(stage)
    write_card(policy, card)
    publish(link, policy, stage.run_dir)
    # Last: the manifest's export marks the run as over. A run that ended unpublished can still be resumed.
    finished = replace(manifest, export=str(policy.relative_to(stage.run_dir)), model_hash=model_hash(policy))
    write_manifest(stage.run_dir, replace(finished, changed_weights=exported.change.share))
    copy_elsewhere(stage, policy)
    print(f"done: {link} -> {policy} ({exported})", flush=True)
    asked = curl_command(card, str(link), shortest_shown(stage.train))
    print(f"after `{serve_command(str(link), stage.device)}`: {asked}", flush=True)
    return policy
