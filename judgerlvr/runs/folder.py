"""The run folder: made once, never taken over, continued only by --resume."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from judgerlvr.config.load import absent_keys, load_stored, to_yaml
from judgerlvr.config.schema import Config
from judgerlvr.runs.checkpoints import complete, export_dir
from judgerlvr.runs.manifest import MANIFEST, Manifest, read_manifest
from judgerlvr.runs.stage import CHECKPOINTS, Kind
from rewards.errors import InputError

CONFIG = "config.yaml"
FAILURE = "failure.json"
LEAST_FREE_GIB = 1.0


def new_run(config: Config, kind: Kind) -> Path:
    """A fresh run folder with the resolved configuration in it.

    Raises:
        InputError: the named folder exists already, or the disk is nearly full.
    """
    runs = Path(config.runs)
    run_dir = runs / (config.name or _free_name(runs, kind))
    if run_dir.exists():
        raise InputError("run folder exists", f"give another name=, or --resume {run_dir}", file=run_dir)
    runs.mkdir(parents=True, exist_ok=True)
    check_space(runs)
    run_dir.mkdir()
    (run_dir / CONFIG).write_text(to_yaml(config), encoding="utf-8")
    return run_dir.resolve()


def _free_name(runs: Path, kind: Kind) -> str:
    number = 1
    while (runs / (name := kind if number == 1 else f"{kind}-{number}")).exists():
        number += 1
    return name


def check_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free / 2**30
    if free < LEAST_FREE_GIB:
        raise InputError(f"no space left ({free:.2f} GiB free)", "free some, or set runs= to another disk", file=folder)


@dataclass(frozen=True)
class OpenedRun:
    """A run to be continued. ``checkpoint`` is its newest complete checkpoint, None before the first."""

    folder: Path
    config: Config
    manifest: Manifest
    checkpoint: Path | None


def open_run(run_dir: Path, kind: Kind, overrides: Sequence[str] = ()) -> OpenedRun:
    """A run folder, read for continuing; ``overrides`` change its configuration for this time only.

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
    if newest:
        _check_unfinished(run_dir, newest, manifest.export or "")
    config = load_stored(run_dir / CONFIG, manifest.device, overrides)
    (run_dir / FAILURE).unlink(missing_ok=True)
    return OpenedRun(run_dir, config, manifest, newest)


def _check_unfinished(run_dir: Path, newest: Path, exported: str) -> None:
    """Refuse a run whose manifest names the newest checkpoint's policy as the final policy.

    The stop rule of such a run has been met. Going on would train nothing, or one step past a spent budget.
    """
    # Only the end of the path is compared, since the folder may have been moved.
    if newest.name in Path(exported).parts[-3:]:
        remedy = f"to train its policy further, start a new run with model.path={export_dir(newest)}"
        raise InputError(f"the run is over (it ended at {newest.name})", remedy, file=run_dir)


def defaults_taken(run_dir: Path) -> str:
    """One line that names keys newer than the stored configuration, with their defaults. Empty if there are none."""
    absent = absent_keys(run_dir / CONFIG)
    if not absent:
        return ""
    values = ", ".join(f"{name}={value}" for name, value in absent.items())
    return f"{run_dir / CONFIG} lacks newer keys, whose defaults are taken: {values} (write other values there)"
