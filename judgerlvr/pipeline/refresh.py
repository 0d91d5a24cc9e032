"""``judge.data.candidates: refresh_every:N``: judge what the current policy writes, not what the first one wrote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from data.hashing import file_sha256
from judgerlvr.engine.runner import run_stage
from judgerlvr.export.policy import export_policy
from judgerlvr.runs.checkpoints import step_of
from judgerlvr.runs.manifest import read_manifest, write_manifest
from judgerlvr.runs.resume_state import save_stage
from judgerlvr.runs.stage import Stage

# (policy, step) -> (new training parquet, tokens sampled for it)
Resample = Callable[[Path, int], tuple[Path, int]]


def train_in_segments(stage: Stage, every: int, resample: Resample) -> Path:
    """Train ``every`` steps at a time with fresh candidates between; returns the last checkpoint.

    Weights, optimiser and counters go on; the data order starts afresh with each new set of candidates.
    """
    total = stage.settings.stop.steps
    done = step_of(stage.resume_from) if stage.resume_from else 0
    while True:
        # A resumed run aims at the same multiples of `every` as an unbroken run.
        target = min(total, (done // every + 1) * every)
        checkpoint = run_stage(_until(stage, target))
        done = step_of(checkpoint)
        # A run that ended before the target was stopped by another limit.
        if done < target or done >= total:
            return checkpoint
        train, tokens = resample(export_policy(checkpoint).folder, done)
        # verl takes a checkpoint without loader state as "read the data from its start".
        (checkpoint / "data.pt").rename(checkpoint / "data.before-refresh.pt")
        stage = replace(stage, train=train, resume_from=checkpoint, tokens_before=tokens)
        # Saved before the next segment, so that a crash in the segment resumes with the new data.
        save_stage(stage)
        manifest = read_manifest(stage.run_dir)
        hashes = {**manifest.data, "train": file_sha256(train)}
        write_manifest(stage.run_dir, replace(manifest, data=hashes))


def _until(stage: Stage, step: int) -> Stage:
    """The same stage with an earlier last step."""
    judge = stage.config.judge
    stop = replace(judge.stop, steps=step)
    return replace(stage, config=replace(stage.config, judge=replace(judge, stop=stop)))
