"""The folder of a distillation: its settings, its curve, and the checkpoints from which it goes on."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.row_files import source_sha256
from judgerlvr.hysparse.conversion.derived_files import check_new
from judgerlvr.hysparse.conversion.options import GIVEN
from rewards.errors import InputError, reading

CURVE, SETTINGS, CHECKPOINTS = "distill.jsonl", "distill.json", "checkpoints"
# transformers writes this file of a checkpoint last.
LAST_WRITTEN = "trainer_state.json"
FREE = ("out", "resume", "device", "card", "plan", GIVEN)  # Options that may differ between two starts.


def settings_of(options: argparse.Namespace, processes: int) -> dict[str, Any]:
    """All that decides the weights: options, the hash of the texts, and the number of processes."""
    named = {name: value for name, value in vars(options).items() if name not in FREE}
    paths = {name: str(value.resolve()) for name, value in named.items() if isinstance(value, Path)}
    return {**named, **paths, "texts_sha256": source_sha256(options.texts), "processes": processes}


def check_folder(options: argparse.Namespace, settings: dict[str, Any]) -> None:
    """Check that this run may make the folder, or may go on with it.

    Raises InputError for a folder that is there without ``--resume``. With ``--resume``, raises InputError for a folder
    of something else, for a finished one, and for other settings than those of the first start.
    """
    file = options.out / SETTINGS
    if not options.resume:
        check_new(options.out)
        return
    if not file.is_file():
        raise InputError("no distillation to go on with", "leave --resume out", file=options.out)
    if (options.out / "config.json").exists():
        raise InputError("this distillation is finished", "train it further with --student", file=options.out)
    with reading("not the settings of a distillation", "start again in a new folder", file=file):
        before = json.loads(file.read_text(encoding="utf-8"))
    for name, value in settings.items():
        if before.get(name) != value:
            problem = f"{name} is {value}, and was {before.get(name)} at the first start"
            raise InputError(problem, "give the options of the first start", file=options.out)


def make_folder(options: argparse.Namespace, settings: dict[str, Any]) -> None:
    """Make the folder with the settings of a first start. Raises InputError as ``check_folder``."""
    check_folder(options, settings)
    if not options.resume:
        options.out.mkdir(parents=True)
        (options.out / SETTINGS).write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def last_checkpoint(out: Path) -> str | None:
    """The newest whole checkpoint. None if the run ended before its first checkpoint."""
    whole = [path.parent for path in (out / CHECKPOINTS).glob(f"checkpoint-*/{LAST_WRITTEN}")]
    return str(max(whole, key=lambda path: int(path.name.partition("-")[2]))) if whole else None


def write_curve(out: Path, curve: Sequence[dict[str, float]]) -> None:
    """All evaluations so far, one a line."""
    lines = [json.dumps(point) for point in curve]
    (out / CURVE).write_text("\n".join(lines) + "\n", encoding="utf-8")
