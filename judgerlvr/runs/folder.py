"""The run folder: made once, never taken over, continued only by --resume."""

from __future__ import annotations

import shutil
from pathlib import Path

from judgerlvr.config.load import absent_keys, load_config, to_yaml
from judgerlvr.config.schema import Config
from judgerlvr.engine.runner import FAILURE
from judgerlvr.runs.checkpoints import complete, export_dir
from judgerlvr.runs.manifest import MANIFEST, read_manifest
from judgerlvr.runs.stage import Kind
from rewards.errors import InputError

CONFIG = "config.yaml"
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


def open_run(run_dir: Path, kind: Kind) -> tuple[Config, Path | None]:
    """Configuration and newest complete checkpoint (None before the first) of a run to be continued.

    Raises:
        InputError: no run there, a run of the other stage, or one that has ended.
    """
    if not (run_dir / CONFIG).is_file() or not (run_dir / MANIFEST).is_file():
        raise InputError("no run to resume (config.yaml or manifest.json is missing)", "start afresh", file=run_dir)
    manifest = read_manifest(run_dir)
    if manifest["stage"] != kind:
        raise InputError(f"is a {manifest['stage']} run", "resume it with the entry point of that stage", file=run_dir)
    sealed = complete(run_dir / "checkpoints")
    newest = sealed[-1] if sealed else None
    if newest:
        _check_unfinished(run_dir, newest, manifest.get("export", ""))
    (run_dir / FAILURE).unlink(missing_ok=True)
    return load_config(run_dir / CONFIG), newest


def _check_unfinished(run_dir: Path, newest: Path, exported: str) -> None:
    """Refuse a run whose manifest names the newest checkpoint's policy as the one it ended with.

    Its stop rule has been met: going on would start every engine to train nothing, or a step past a spent budget.
    """
    policy = export_dir(newest)
    # By its end: the folder may have been moved since.
    if Path(exported).match(str(policy.relative_to(newest.parent))):
        remedy = f"to train its policy further, start a new run with model.path={policy}"
        raise InputError(f"the run is over (it ended at {newest.name})", remedy, file=run_dir)


def defaults_taken(run_dir: Path) -> str:
    """What is taken for keys that the run's stored configuration is too old to hold, in one line; empty: it has all."""
    absent = absent_keys(run_dir / CONFIG)
    if not absent:
        return ""
    values = ", ".join(f"{name}={value}" for name, value in absent.items())
    return f"{run_dir / CONFIG} lacks newer keys, whose defaults are taken: {values} (write other values there)"
