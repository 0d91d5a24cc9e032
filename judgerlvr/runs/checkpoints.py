"""Checkpoints: sealed once complete, loadable by others as they lie, and found again after a crash."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

SEAL = "COMPLETE.json"
STEP = re.compile(r"global_step_(\d+)")
POLICY = "policy"


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


def read_seal(checkpoint: Path) -> dict[str, Any]:
    return json.loads((checkpoint / SEAL).read_text(encoding="utf-8"))


def prune(checkpoints: Path, keep: int) -> None:
    """Remove all but the newest ``keep`` sealed checkpoints. Called only after a save has been sealed."""
    for path in complete(checkpoints)[:-keep] if keep else []:
        # The seal goes first, so that a crash halfway leaves no sealed checkpoint without files.
        (path / SEAL).unlink()
        shutil.rmtree(path)
