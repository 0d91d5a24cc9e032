"""``judge.data.candidates: refresh_every:N``: the current policy, and not the first policy, writes the candidates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from data.hashing import file_sha256
from judgerlvr.engine.runner import run_stage
from judgerlvr.export.policy import export_policy
from judgerlvr.export.whole import BEFORE_REFRESH, DATA_STATE
from judgerlvr.runs.checkpoints import step_of
from judgerlvr.runs.manifest import read_manifest, write_manifest
from judgerlvr.runs.resume_state import save_stage
from judgerlvr.runs.stage import STOP, Stage, training_file

# (policy, step) -> (new training parquet, tokens sampled for it)
Resample = Callable[[Path, int], tuple[Path, int]]


def train_in_segments(stage: Stage, every: int, resample: Resample) -> Path:
    """Train ``every`` steps at a time with fresh candidates between; returns the last checkpoint.

    Weights, optimiser and counters go on; the data order starts afresh with each new set of candidates.
    """
    total = stage.settings.stop.steps
    while True:
        done = step_of(stage.resume_from) if stage.resume_from else 0
        # A run that died between two segments begins here too.
        if stage.resume_from and done % every == 0 and stage.train.name != training_file(done):
            stage = _refresh(stage, stage.resume_from, resample)
        # A resumed run aims at the same multiples of `every` as an unbroken run.
        target = min(total, (done // every + 1) * every)
        checkpoint = run_stage(_until(stage, target))
        # A run that ended before the target was stopped by another limit.
        if step_of(checkpoint) < target or target >= total or (stage.run_dir / STOP).exists():
            return checkpoint
        stage = replace(stage, resume_from=checkpoint)


def _refresh(stage: Stage, checkpoint: Path, resample: Resample) -> Stage:
    """The stage with candidates of the checkpoint's policy. Nothing of the stage changes before they are there."""
    train, tokens = resample(export_policy(checkpoint).folder, step_of(checkpoint))
    # verl takes a checkpoint without loader state as "read the data from its start".
    loader = checkpoint / DATA_STATE
    if loader.exists():
        loader.rename(checkpoint / BEFORE_REFRESH)
    stage = replace(stage, train=train, resume_from=checkpoint, tokens_before=tokens)
    # Saved before the next segment, so that a crash in the segment resumes with the new data.
    save_stage(stage)
    manifest = read_manifest(stage.run_dir)
    hashes = {**manifest.data, "train": file_sha256(train)}
    write_manifest(stage.run_dir, replace(manifest, data=hashes))
    return stage


def _until(stage: Stage, step: int) -> Stage:
    """The same stage with an earlier last step."""
    judge = stage.config.judge
    stop = replace(judge.stop, steps=step)
    return replace(stage, config=replace(stage.config, judge=replace(judge, stop=stop)))
