"""Checkpoints: sealed once complete, loadable by others as they lie, and found again after a crash."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.typed_rows import record_fault
from rewards.errors import InputError, reading

SEAL = "COMPLETE.json"
STEP = re.compile(r"global_step_(\d+)")
POLICY = "policy"
TAKE_AWAY = "restore the file, or move this checkpoint away, so that the run goes on from the one before"


def export_dir(checkpoint: Path) -> Path:
    """Where a checkpoint's policy lies, or is to lie, for transformers and vLLM to load.

    Versions before wrote the policy of each checkpoint beside the shards.
    """
    policy, older = checkpoint / POLICY, checkpoint / "actor" / "huggingface"
    # verl makes the folder with the configuration alone, so weights are looked for.
    return older if not policy.exists() and any(older.glob("*.safetensors")) else policy


def complete(checkpoints: Path) -> list[Path]:
    """Sealed checkpoints, oldest first. Half-written checkpoints are left out."""
    found = [path for path in checkpoints.glob("global_step_*") if (path / SEAL).is_file()]
    # By number, because as text step 100 comes before step 20.
    return sorted(found, key=step_of)


def step_of(checkpoint: Path) -> int:
    match = STEP.fullmatch(checkpoint.name)
    assert match, checkpoint
    return int(match.group(1))


@dataclass(frozen=True)
class Plateau:
    """What the plateau rule has seen: the best balanced accuracy, its step, and the last validated step."""

    best: float
    best_step: int
    step: int


@dataclass(frozen=True)
class Solved:
    """What the rule on solving has seen: accuracies of the starting policy and of the last validation."""

    base: float
    now: float


@dataclass(frozen=True)
class Counted:
    """What a seal says of a run's budget: response tokens sampled since the run began, candidates included."""

    generated_tokens: int


@dataclass(frozen=True)
class Progress(Counted):
    """What a seal holds: state that verl does not keep and a resumed run needs.

    ``solving`` stands in seals of judge stages that also solve.
    """

    step: int
    seconds: float
    zero_steps: int
    plateau: Plateau
    solving: Solved | None = None


def read_seal(checkpoint: Path, holds: type[Any] = Counted) -> Mapping[str, Any]:
    """The keys of a seal, which must be able to give ``holds``.

    Raises:
        InputError: the seal is damaged.
    """
    path = checkpoint / SEAL
    with reading("not the seal of a checkpoint", TAKE_AWAY, file=path):
        values = json.loads(path.read_text(encoding="utf-8"))
    if found := record_fault(values, holds):
        raise InputError(f"not the seal of a checkpoint ({found[1]})", TAKE_AWAY, file=path, field=found[0])
    seal: Mapping[str, Any] = values
    return seal


def prune(checkpoints: Path, keep: int) -> None:
    """Remove all but the newest ``keep`` sealed checkpoints. Called only after a save has been sealed."""
    for path in complete(checkpoints)[:-keep] if keep else []:
        # The seal goes first, so that a crash halfway leaves no sealed checkpoint without files.
        (path / SEAL).unlink()
        shutil.rmtree(path)
