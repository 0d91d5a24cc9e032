"""The folder of a distillation: its curve, and the settings and files of its first start, which a resumed run needs."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data.hashing import file_sha256
from data.replacing import replacing
from data.row_files import source_sha256
from judgerlvr.hysparse.conversion.derived_files import FOLDERS, WEIGHTS, check_new
from judgerlvr.hysparse.conversion.options import GIVEN
from judgerlvr.hysparse.conversion.texts import Packed
from judgerlvr.hysparse.distillation.checkpoints import Settings
from judgerlvr.models.configuration import read_keys
from rewards.errors import InputError

CURVE, SETTINGS = "distill.jsonl", "distill.json"
PART = f".{SETTINGS}."  # begins the name of a file of settings while the file is written
FREE = ("out", "resume", "device", "card", "plan", GIVEN)  # Options that may differ between two starts.
MODELS = ("source", "student")
NOT_READ = WEIGHTS - {".safetensors"}
BEGIN_AGAIN = "begin again in a new folder"


def settings_of(options: argparse.Namespace, precision: str, processes: int, rows: Sequence[Packed]) -> dict[str, Any]:
    """All that decides the weights.

    Options with the precision that was chosen, the number of processes, and hashes: of the texts, of their tokens, and
    of each file of the models.
    """
    named = {name: value for name, value in vars(options).items() if name not in FREE}
    paths = {name: str(value.resolve()) for name, value in named.items() if isinstance(value, Path)}
    hashes = {"texts_sha256": source_sha256(options.texts), "tokens_sha256": _tokens_sha256(rows)}
    files = {f"{name}_files": model_files(named[name]) for name in MODELS if named[name] is not None}
    return {**named, **paths, **hashes, **files, "precision": precision, "processes": processes}


def model_files(directory: Path) -> dict[str, str]:
    """SHA-256 of each file of a model's folder that a distillation may read or copy, by name."""
    inner = [path for name in FOLDERS for path in (directory / name).glob("*")]
    files = [path for path in (*directory.iterdir(), *inner) if path.is_file() and not _unread(path)]
    return {str(path.relative_to(directory)): file_sha256(path) for path in sorted(files)}


def _unread(path: Path) -> bool:
    return path.name.startswith(".") or path.name.lower() == "readme.md" or path.suffix in NOT_READ


def _tokens_sha256(rows: Sequence[Packed]) -> str:
    digest = hashlib.sha256()
    for part in rows:
        for tensor in (part.ids, part.positions, part.labels):
            digest.update(f"{tuple(tensor.shape)}".encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def check_free(out: Path) -> None:
    """Raise InputError as ``check_new``. For a distillation that did not end, the line names ``--resume``."""
    if (out / SETTINGS).is_file() and not (out / "config.json").exists():
        problem = "something is there already, a distillation that did not end"
        raise InputError(problem, "go on with --resume, or give a name that is free", file=out)
    check_new(out)


def check_folder(options: argparse.Namespace, settings: Settings) -> None:
    """Check that this run may make the folder, or may go on with it.

    Raises InputError for a folder that is there without ``--resume``. With ``--resume``, raises InputError for a folder
    of something else, for a finished one, and for other settings than those of the first start.
    """
    file = options.out / SETTINGS
    if not options.resume:
        check_free(options.out)
        return
    if not file.exists():
        if _is_blank(options.out):
            return
        raise InputError("no distillation to go on with", "leave --resume out", file=options.out)
    if (options.out / "config.json").exists():
        raise InputError("this distillation is finished", "train it further with --student", file=options.out)
    before = read_before(file)
    for name, value in settings.items():
        if name not in before:
            problem = f"no {name} is noted there, so another version of this program began the distillation"
            raise InputError(problem, BEGIN_AGAIN, file=file)
        if isinstance(value, Mapping):
            _check_files(value, before[name], getattr(options, name.removesuffix("_files")))
        elif before[name] != value:
            problem = f"{name} is {value}, and was {before[name]} at the first start"
            raise InputError(problem, "give the options of the first start", file=options.out)


def _is_blank(out: Path) -> bool:
    """Whether a first start made this folder and was killed before the folder had its settings."""
    return out.is_dir() and all(path.name.startswith(PART) for path in out.iterdir())


def read_before(file: Path) -> dict[str, Any]:
    """Settings of the first start. Raises InputError for a file that holds none."""
    try:
        return read_keys(file)
    except InputError as error:
        raise InputError(f"not the settings of a distillation: {error.problem}", BEGIN_AGAIN, file=file) from error


def _check_files(now: Mapping[str, str], before: Any, directory: Path) -> None:
    """Raise InputError for the first file of a model that is not as at the first start."""
    known = before if isinstance(before, Mapping) else {}
    for name in sorted(now.keys() | known.keys()):
        if now.get(name) != known.get(name):
            change = "has changed" if name in now and name in known else "is new" if name in now else "is gone"
            remedy = f"put back what was there at the first start, or {BEGIN_AGAIN}"
            raise InputError(f"the file {change} since the first start", remedy, file=directory / name)


def make_folder(options: argparse.Namespace, settings: Settings) -> None:
    """Make the folder with the settings of a first start, or what a killed start left undone.

    Raises InputError as ``check_folder``.
    """
    check_folder(options, settings)
    if not options.resume:
        options.out.mkdir(parents=True)
    for part in options.out.glob(f"{PART}*"):  # A kill in the midst of a write leaves the part.
        part.unlink()
    if not (options.out / SETTINGS).exists():
        with replacing(options.out / SETTINGS) as part:
            part.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def write_curve(out: Path, curve: Sequence[dict[str, float]]) -> None:
    """All evaluations so far, one a line."""
    with replacing(out / CURVE) as part:
        part.write_text("".join(json.dumps(point) + "\n" for point in curve), encoding="utf-8")
