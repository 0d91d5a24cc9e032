"""The run folder: made once, never taken over, continued by the same command or by --resume."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from judgerlvr.config.load import absent_keys, load_stored, to_yaml
from judgerlvr.config.schema import Config, Kind
from judgerlvr.runs.checkpoints import complete, export_dir
from judgerlvr.runs.files import write_atomically
from judgerlvr.runs.lock import LOCK
from judgerlvr.runs.manifest import MANIFEST, Manifest, read_manifest
from judgerlvr.runs.stage import CHECKPOINTS, STATE
from rewards.errors import InputError, reading

CONFIG = "config.yaml"
FAILURE = "failure.json"
LEAST_FREE_GIB = 1.0


def run_folder(named: Path, new: bool = False) -> Path:
    """The folder of a run, made if need be. ``new`` asks for an unused folder beside the ``named`` folder.

    Raises:
        InputError: the name is taken by something that is no run folder, or the disk is nearly full.
    """
    runs = named.parent
    run_dir = runs / _free_name(runs, named.name) if new else named
    if run_dir.exists() and not (run_dir / CONFIG).exists() and not _is_empty(run_dir):
        raise InputError("exists and is no run folder", "give another name=", file=run_dir)
    runs.mkdir(parents=True, exist_ok=True)
    check_space(runs)
    run_dir.mkdir(exist_ok=True)
    return run_dir.resolve()


def existing_run(named: Path) -> Path | None:
    """The folder that a request names, if the folder exists."""
    return named if named.is_dir() else None


def nearest(folder: Path) -> Path:
    """What is at the path, or the nearest thing above. A link that leads nowhere is a thing too."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(path))


def _is_empty(run_dir: Path) -> bool:
    # A start that failed early leaves the lock file alone behind.
    return run_dir.is_dir() and all(path.name == LOCK for path in run_dir.iterdir())


def write_config(run_dir: Path, config: Config) -> None:
    """Write the resolved configuration into the run folder."""
    write_atomically(run_dir / CONFIG, to_yaml(config))


def is_prepared(run_dir: Path) -> bool:
    """Whether a run's preparation was completed, so that the run can be continued."""
    return all((run_dir / name).is_file() for name in (CONFIG, MANIFEST, STATE))


def end_of(run_dir: Path, manifest: Manifest) -> Path | None:
    """The checkpoint whose policy ended the run, None for a run that is not over."""
    sealed = complete(run_dir / CHECKPOINTS)
    # Only the end of the path is compared, since the folder may have been moved.
    return sealed[-1] if sealed and sealed[-1].name in Path(manifest.export or "").parts[-3:] else None


def _free_name(runs: Path, wanted: str) -> str:
    number = 1
    while (runs / (name := wanted if number == 1 else f"{wanted}-{number}")).exists():
        number += 1
    return name


def write_failure(run_dir: Path, cause: str) -> None:
    """Note why a run ended early. The note goes when the run is continued."""
    write_atomically(run_dir / FAILURE, json.dumps({"cause": cause}))


def read_failure(run_dir: Path) -> str | None:
    """The cause that a run left when it ended early, None for other runs.

    Raises:
        InputError: the note is damaged.
    """
    path = run_dir / FAILURE
    if not path.is_file():
        return None
    with reading("not a note of a failure", "remove the file", file=path):
        cause = json.loads(path.read_text(encoding="utf-8"))["cause"]
        if not isinstance(cause, str):
            raise TypeError(f"cause is {cause!r}")
        return cause


def check_space(folder: Path) -> None:
    """Raise an InputError for no folder, a folder that nobody may write to, or a disk that is nearly full."""
    if not folder.is_dir():
        raise InputError("is no folder", "set runs= to a folder", file=folder)
    if not os.access(folder, os.W_OK):
        raise InputError("this folder cannot be written to", "set runs= to another folder", file=folder)
    free = shutil.disk_usage(folder).free / 2**30
    if free < LEAST_FREE_GIB:
        raise InputError(f"no space left ({free:.2f} GiB free)", "free some, or set runs= to another disk", file=folder)


def check_writable(folder: Path, remedy: str) -> None:
    """Make and remove a link in ``folder``, or in the nearest folder above that exists.

    Permissions alone do not tell what a disk allows.

    Raises:
        InputError: nothing can be made there.
    """
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    attempt = there / f".writable.{os.getpid()}"
    try:
        attempt.symlink_to("nowhere")
        attempt.unlink()
    except OSError as error:
        raise InputError(f"nothing can be made here ({error.strerror})", remedy, file=there) from error


@dataclass(frozen=True)
class OpenedRun:
    """A run to be continued. ``checkpoint`` is the newest complete checkpoint, None before the first."""

    folder: Path
    config: Config
    manifest: Manifest
    checkpoint: Path | None


def open_run(run_dir: Path, kind: Kind, overrides: Sequence[str] = ()) -> OpenedRun:
    """A run folder, read for continuing. ``overrides`` change the configuration of the continued part only.

    Raises:
        InputError: no run there, a run of the other stage, or a run that has ended.
    """
    if not (run_dir / CONFIG).is_file() or not (run_dir / MANIFEST).is_file():
        raise InputError("no run to resume (config.yaml or manifest.json is missing)", "start afresh", file=run_dir)
    manifest = read_manifest(run_dir)
    if manifest.stage != kind:
        raise InputError(f"is a {manifest.stage} run", "resume it with the entry point of that stage", file=run_dir)
    sealed = complete(run_dir / CHECKPOINTS)
    newest = sealed[-1] if sealed else None
    if ended := end_of(run_dir, manifest):
        remedy = (
            f"raise stop.steps in the command that began it, or start a new run with model.path={export_dir(ended)}"
        )
        raise InputError(f"the run is over (it ended at {ended.name})", remedy, file=run_dir)
    config = load_stored(run_dir / CONFIG, manifest.device, overrides)
    # The failure of the last start says nothing about the start to come.
    (run_dir / FAILURE).unlink(missing_ok=True)
    return OpenedRun(run_dir, config, manifest, newest)


def defaults_taken(run_dir: Path) -> str:
    """A line that names keys newer than the stored configuration, with their defaults. Empty if there are none."""
    absent = absent_keys(run_dir / CONFIG)
    if not absent:
        return ""
    values = ", ".join(f"{name}={value}" for name, value in absent.items())
    return f"{run_dir / CONFIG} lacks newer keys, whose defaults are taken: {values} (write other values there)"
