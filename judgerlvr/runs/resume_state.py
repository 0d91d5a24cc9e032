"""What a resumed run needs: the stage's own facts, unchanged data, and a log without a fork."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from data.hashing import file_sha256
from data.typed_rows import record_fault
from judgerlvr.config.schema import Kind
from judgerlvr.models.identity import model_hash
from judgerlvr.runs.checkpoints import step_of
from judgerlvr.runs.files import write_atomically
from judgerlvr.runs.folder import OpenedRun
from judgerlvr.runs.metrics import METRICS, read_metrics
from judgerlvr.runs.stage import DATA, STATE, TENSORBOARD, VALIDATED, Stage, reward_function
from judgerlvr.runs.tensorboard_files import cut_events
from rewards.errors import InputError, reading

DISPUTED = "disputed"
PATHS = ("init", "train", "heldout")
HASHED = ("train", "heldout")
# One more where a judge also solves.
SOLVED = "validated"
# The starting policy's place seen from the run folder, for runs that move together.
BESIDE = "init_beside"
VALUES = ("kind", "device", "prompts_per_step", "reward_function", "reward_kwargs", "tokens_before")


@dataclass(frozen=True)
class RewardSettings:
    """The keyword arguments of a reward that a run stores. Each kind of stage has some of these."""

    thinking_open: bool = False
    words: list[str] = field(default_factory=list)
    verifier: str = ""
    extraction: str = ""
    workers: int = 1
    dump_dir: str = ""


@dataclass(frozen=True)
class Stored:
    """What ``stage.json`` holds. Older versions wrote no ``init_beside`` and no ``hashes``."""

    kind: Kind
    init: str
    train: str
    heldout: str
    device: Literal["cpu", "gpu"]
    prompts_per_step: int
    reward_function: str
    reward_kwargs: Mapping[str, Any]
    saved_at: int
    tokens_before: int = 0
    init_beside: str | None = None
    hashes: Mapping[str, str] | None = None


def _read_state(path: Path) -> tuple[dict[str, Any], Stored]:
    """(fields of ``Stage`` that are stored as they are, the whole file)."""
    remedy = "restore the file, or start a new run"
    with reading("not the state of a run", remedy, file=path):
        values = json.loads(path.read_text(encoding="utf-8"))
    if found := record_fault(values, Stored) or record_fault(values["reward_kwargs"], RewardSettings):
        raise InputError(f"not the state of a run ({found[1]})", remedy, file=path, field=found[0])
    stored = Stored(**{item.name: values[item.name] for item in fields(Stored) if item.name in values})
    return {name: getattr(stored, name) for name in VALUES}, stored


def save_stage(stage: Stage) -> None:
    """Write everything that ``load_stage`` needs to build the stage again."""
    paths = {name: _inside(getattr(stage, name), stage.run_dir) for name in PATHS}
    paths[BESIDE] = os.path.relpath(stage.init, stage.run_dir)
    values = {name: getattr(stage, name) for name in VALUES}
    # Checkpoints after the save count the candidates' tokens, earlier checkpoints do not.
    values["saved_at"] = step_of(stage.resume_from) if stage.resume_from else -1
    # Here as well as in the manifest: new data and its hash must change in one write.
    hashed = (*HASHED, SOLVED) if stage.solves else HASHED
    values["hashes"] = {name: file_sha256(getattr(stage, name)) for name in hashed}
    write_atomically(stage.run_dir / STATE, json.dumps(paths | values, indent=2))


def _inside(path: Path, run_dir: Path) -> str:
    """The path as it is stored: relative where the file lies in the run folder, so that the folder can be moved."""
    return str(path.relative_to(run_dir) if path.is_relative_to(run_dir) else path)


def find_init(stored: Path, beside: Path | None, run: OpenedRun) -> Path:
    """The starting policy of a run. The policy's own run, or both runs, may have been moved.

    ``stored`` is the path at the start and ``beside`` the same path seen from the run folder. After both, the
    neighbours of the run folder are searched for the run that exported the policy. Hashes decide in the last two cases.

    Raises:
        InputError: the policy is in none of these places.
    """
    if (stored / "config.json").is_file():
        return stored
    parent = run.manifest.parent
    inside = stored.parts[stored.parts.index(parent.run) + 1 :] if parent.run in stored.parts else ()
    neighbours = [folder.joinpath(*inside) for folder in sorted(run.folder.parent.iterdir()) if inside]
    for place in [*([beside] if beside else []), *neighbours]:
        if (place / "config.json").is_file() and model_hash(place) == parent.hash:
            return place.resolve()
    remedy = f"move the policy back, or point there: ln -s NEW_PLACE {stored}"
    raise InputError("the starting policy of the run is no longer here", remedy, file=stored)


def load_stage(run: OpenedRun, ray_address: str | None, init: Path | None = None) -> Stage:
    """The stage as it was first run, set to continue from the run's checkpoint or from its first step.

    ``init`` is the starting policy where the caller knows its place, else the policy is searched for.

    Raises:
        InputError: preparation never finished, the training data is not what the run began with, or the starting
            policy is gone.
    """
    run_dir, checkpoint = run.folder, run.checkpoint
    path = run_dir / STATE
    if not path.is_file():
        raise InputError(
            "the run died while its data was prepared", "give the command that began it again", file=run_dir
        )
    saved, stored = _read_state(path)
    # An absolute path stays as stored, since `/` takes the right side where that is absolute.
    paths: dict[str, Any] = {name: run_dir / getattr(stored, name) for name in PATHS}
    beside = stored.init_beside
    hashes = run.manifest.data if stored.hashes is None else stored.hashes
    solves = run.config.solves(stored.kind)
    data = {name: paths[name] for name in HASHED} | ({SOLVED: run_dir / DATA / VALIDATED} if solves else {})
    for name, file in data.items():
        if not file.is_file():
            raise InputError("the data of the run is gone", "restore the file, or start anew", file=file)
        # The data order is resumed by place, so changed rows would be skipped or read twice.
        if file_sha256(file) != hashes.get(name):
            raise InputError("differs from what the run began with", "restore the file, or start anew", file=file)
    paths["init"] = init or find_init(paths["init"], run_dir / beside if beside else None, run)
    if checkpoint and step_of(checkpoint) > stored.saved_at:
        saved["tokens_before"] = 0  # the checkpoint has counted them
    # The run may have begun in another checkout.
    saved["reward_function"] = reward_function(saved["kind"], solves)
    if "dump_dir" in saved["reward_kwargs"]:
        # The stored path is absolute, and the folder may have been moved.
        saved["reward_kwargs"] = {**stored.reward_kwargs, "dump_dir": str(run_dir / DISPUTED)}
    return Stage(config=run.config, run_dir=run_dir, resume_from=checkpoint, ray_address=ray_address, **paths, **saved)


def trim_metrics(run_dir: Path, checkpoint: Path | None) -> None:
    """Drop the rows and the TensorBoard events of steps that will be run again, so that no step stands twice."""
    path = run_dir / METRICS
    last = step_of(checkpoint) if checkpoint else -1
    kept = [row for row in read_metrics(path) if row.step <= last]
    if path.exists():
        write_atomically(path, "".join(row.to_json() + "\n" for row in kept))
    cut_events(run_dir / TENSORBOARD, last)
