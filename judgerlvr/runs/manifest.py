"""The manifest: where a run comes from, in enough detail to tell two runs apart."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data.hashing import file_sha256
from judgerlvr.config.load import ROOT
from judgerlvr.config.schema import Overlong
from judgerlvr.engine.preflight import versions
from judgerlvr.runs.checkpoints import write_atomically
from judgerlvr.runs.stage import Stage

MANIFEST = "manifest.json"


def model_hash(directory: Path) -> str:
    """SHA-256 over the weight files and config of a model directory, by name and content."""
    digest = hashlib.sha256()
    files = sorted([*directory.glob("*.safetensors"), *directory.glob("config.json")])
    for path in files:
        digest.update(path.name.encode())
        with path.open("rb") as file:
            while chunk := file.read(1 << 22):
                digest.update(chunk)
    return digest.hexdigest()


def git_commit() -> str:
    """Commit of the checkout, ``+changes`` where the tree differs from it, ``unknown`` outside a checkout."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    commit = git("rev-parse", "HEAD") or "unknown"
    return f"{commit}+changes" if commit != "unknown" and git("status", "--porcelain") else commit


def write_manifest(stage: Stage, extra: dict[str, Any]) -> None:
    """Written before the first step; ``extra`` holds what only the caller knows (data card, candidate tokens)."""
    algorithm = stage.settings.algorithm
    manifest = {
        "name": stage.run_dir.name,
        "stage": stage.kind,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "length_term": "yes" if algorithm.overlong is Overlong.penalty else "no",
        "parent": {"path": str(stage.init), "hash": model_hash(stage.init), "run": parent_run(stage.init)},
        "data": {"train": file_sha256(stage.train), "heldout": file_sha256(stage.heldout)},
        "device": stage.device,
        "machine": platform.platform(),
        "versions": versions(),
        "git_commit": git_commit(),
        "seed": stage.config.seed,
        "steps": stage.settings.stop.steps,
        "prompts_per_step": stage.prompts_per_step,
        **extra,
    }
    write_atomically(stage.run_dir / MANIFEST, json.dumps(manifest, indent=2) + "\n")


def read_manifest(run_dir: Path) -> dict[str, Any]:
    return json.loads((run_dir / MANIFEST).read_text(encoding="utf-8"))


def update_manifest(run_dir: Path, **values: Any) -> None:
    write_atomically(run_dir / MANIFEST, json.dumps(read_manifest(run_dir) | values, indent=2) + "\n")


def parent_run(init: Path) -> str | None:
    """Name of the run whose export ``init`` is, or None for a model from elsewhere."""
    folders = [folder for folder in init.resolve().parents if (folder / MANIFEST).is_file()]
    return folders[0].name if folders else None
