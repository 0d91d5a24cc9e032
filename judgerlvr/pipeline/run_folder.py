"""The run folder: made once, never taken over, continued only by --resume."""

from __future__ import annotations

import shutil
from pathlib import Path

from judgerlvr.config.load import load_config, to_yaml
from judgerlvr.config.schema import Config
from judgerlvr.engine.checkpoints import complete
from judgerlvr.engine.runner import FAILURE
from judgerlvr.engine.stage import Kind
from judgerlvr.pipeline.manifest import MANIFEST, read_manifest
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
        InputError: no run there, or a run of the other stage.
    """
    if not (run_dir / CONFIG).is_file() or not (run_dir / MANIFEST).is_file():
        raise InputError("no run to resume (config.yaml or manifest.json is missing)", "start afresh", file=run_dir)
    stage = read_manifest(run_dir)["stage"]
    if stage != kind:
        raise InputError(f"is a {stage} run", "resume it with the entry point of that stage", file=run_dir)
    (run_dir / FAILURE).unlink(missing_ok=True)
    sealed = complete(run_dir / "checkpoints")
    return load_config(run_dir / CONFIG), sealed[-1] if sealed else None
