"""What a resumed run needs of the first one: the stage's own facts, its data unchanged, its log without a fork."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from data.hashing import file_sha256
from judgerlvr.config.schema import Config
from judgerlvr.engine.in_training.step_log import METRICS, read_metrics
from judgerlvr.runs.checkpoints import step_of, write_atomically
from judgerlvr.runs.manifest import read_manifest
from judgerlvr.runs.stage import Stage
from rewards.errors import InputError

STATE = "stage.json"
PATHS = ("init", "train", "heldout")
VALUES = ("kind", "device", "prompts_per_step", "reward_function", "reward_kwargs", "tokens_before")


def save_stage(stage: Stage) -> None:
    paths = {name: str(getattr(stage, name)) for name in PATHS}
    values = {name: getattr(stage, name) for name in VALUES}
    values["saved_at"] = step_of(stage.resume_from) if stage.resume_from else -1
    write_atomically(stage.run_dir / STATE, json.dumps(paths | values, indent=2))


def load_stage(run_dir: Path, config: Config, checkpoint: Path | None, ray_address: str | None) -> Stage:
    """The stage as it was first run, set to continue from ``checkpoint`` (None: from its first step).

    Raises:
        InputError: preparation never finished, or the training data is not what the run began with.
    """
    path = run_dir / STATE
    if not path.is_file():
        raise InputError("the run died while its data was prepared", "start a new run", file=run_dir)
    saved: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    paths: dict[str, Any] = {name: Path(saved.pop(name)) for name in PATHS}
    for name, digest in read_manifest(run_dir)["data"].items():
        if file_sha256(paths[name]) != digest:
            raise InputError(
                "differs from what the run began with", "restore the file, or start anew", file=paths[name]
            )
    saved_at = saved.pop("saved_at")
    if checkpoint and step_of(checkpoint) > saved_at:
        saved["tokens_before"] = 0  # the checkpoint has counted them
    return Stage(config=config, run_dir=run_dir, resume_from=checkpoint, ray_address=ray_address, **paths, **saved)


def trim_metrics(run_dir: Path, checkpoint: Path | None) -> None:
    """Drop the log's rows of steps that will be run again, so that no step stands twice."""
    path = run_dir / METRICS
    last = step_of(checkpoint) if checkpoint else -1
    kept = [row for row in read_metrics(path) if row["step"] <= last]
    if path.exists():
        write_atomically(path, "".join(json.dumps(row) + "\n" for row in kept))
