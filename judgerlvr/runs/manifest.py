"""The manifest: where a run comes from, in enough detail to tell two runs apart."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from data.hashing import file_sha256
from data.typed_rows import record_fault
from judgerlvr.config.choices import Overlong, TrainerMode
from judgerlvr.config.load import ROOT, engine_keys
from judgerlvr.config.schema import Kind, StageSettings
from judgerlvr.models.identity import model_hash
from judgerlvr.runs.files import write_atomically
from judgerlvr.runs.stage import Stage
from judgerlvr.runs.versions import versions
from rewards.errors import InputError, reading

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Parent:
    """The model that a run started from. ``run`` is the name of the run that exported the model, if any."""

    path: str = ""
    hash: str = ""
    run: str | None = None


@dataclass(frozen=True)
class Manifest:
    """``manifest.json`` of a run folder.

    ``data`` holds SHA-256 of the files ``train`` and ``heldout``, and ``validated`` where a judge also solves.
    ``length_term`` is ``yes`` where a reward depends on length, else ``no``.
    ``resumes_to_the_bit`` says whether a resumed run ends with the bits of an undisturbed one, None where unknown.
    ``engine_keys`` are the settings that the run gave to verl by verl's own names.
    ``counts`` holds how many problems, candidates and candidate tokens went in, and prompts left out.
    ``trained`` names the checkpoint with which training ended.
    ``engine`` holds the training engine's facts that all workers reported, None before the workers started.
    ``export`` and ``model_hash`` name the finished policy. Both are None until the run is over.
    ``changed_weights`` is the share of the policy's weights that are not its base's, 0 to 1.
    """

    name: str
    stage: Kind | None = None
    started: str = ""
    length_term: str = "no"
    parent: Parent = field(default_factory=Parent)
    data: Mapping[str, str] = field(default_factory=dict)
    device: Literal["", "cpu", "gpu"] = ""
    machine: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    git_commit: str = ""
    seed: int | None = None
    steps: int | None = None
    prompts_per_step: int | None = None
    resumes_to_the_bit: bool | None = None
    engine_keys: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, Any] = field(default_factory=dict)
    engine: Mapping[str, Any] | None = None
    export: str | None = None
    model_hash: str | None = None
    trained: str | None = None
    changed_weights: float | None = None

    @classmethod
    def from_json(cls, values: Mapping[str, Any], folder: Path) -> Manifest:
        """A manifest of this version or an older one. Facts that an older version did not write stay absent."""
        known = {item.name for item in fields(cls)}
        given = {name: value for name, value in values.items() if name in known}
        # Older versions wrote counts at the top level of the file.
        given["counts"] = given.get("counts") or {name: value for name, value in values.items() if name not in known}
        parent = {
            name: value for name, value in (values.get("parent") or {}).items() if name in ("path", "hash", "run")
        }
        whole = {"name": folder.name, **given, "parent": {**asdict(Parent()), **parent}}
        if found := record_fault(whole, cls):
            raise TypeError(": ".join(found))
        return cls(**{**whole, "parent": Parent(**whole["parent"])})

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


def git_commit() -> str:
    """Commit of the checkout, ``+changes`` where the tree differs from it, ``unknown`` outside a checkout."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    commit = git("rev-parse", "HEAD") or "unknown"
    # A commit alone would claim that a changed tree can be checked out again.
    return f"{commit}+changes" if commit != "unknown" and git("status", "--porcelain") else commit


def length_term(settings: StageSettings) -> str:
    """``yes`` where the reward depends on length, else ``no``."""
    return "yes" if settings.algorithm.overlong is Overlong.penalty else "no"


def make_manifest(stage: Stage, counts: Mapping[str, Any]) -> Manifest:
    """The manifest of a stage that is about to train."""
    return Manifest(
        name=stage.run_dir.name,
        stage=stage.kind,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        length_term=length_term(stage.settings),
        parent=Parent(str(stage.init), model_hash(stage.init), parent_run(stage.init)),
        data={"train": file_sha256(stage.train), "heldout": file_sha256(stage.heldout)}
        | ({"validated": file_sha256(stage.validated)} if stage.solves else {}),
        device=stage.device,
        machine=platform.platform(),
        versions=versions(),
        git_commit=git_commit(),
        seed=stage.config.seed,
        steps=stage.settings.stop.steps,
        prompts_per_step=stage.prompts_per_step,
        resumes_to_the_bit=resumes_to_the_bit(stage),
        engine_keys=engine_keys(stage.config.engine),
        counts=counts,
    )


def resumes_to_the_bit(stage: Stage) -> bool | None:
    """Tests hold synchronous runs on a CPU to the bit. What an update interrupts depends on the clock."""
    if stage.config.cluster.trainer_mode is not TrainerMode.sync:
        return False
    return True if stage.device == "cpu" else None


def write_manifest(run_dir: Path, manifest: Manifest) -> None:
    """Write ``manifest.json``, whole or not at all."""
    write_atomically(run_dir / MANIFEST, manifest.to_json())


def read_manifest(run_dir: Path) -> Manifest:
    """The manifest of a run folder.

    Raises:
        InputError: there is no manifest, or the file is damaged.
    """
    path = run_dir / MANIFEST
    if not path.is_file():
        raise InputError("no manifest.json here", "give a run folder", file=run_dir)
    with reading("not a manifest", "restore the file, or start a new run", file=path):
        return Manifest.from_json(json.loads(path.read_text(encoding="utf-8")), run_dir)


def parent_run(init: Path) -> str | None:
    """Name of the run whose export ``init`` is, or None for a model from elsewhere."""
    # Resolved first, because the name of a finished policy is a link into the run.
    folders = [folder for folder in init.resolve().parents if (folder / MANIFEST).is_file()]
    return folders[0].name if folders else None
