"""Checkpoints of a distillation. A seal tells size and checksum of each file, and a whole checkpoint has its seal."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from data.replacing import replacing
from rewards.errors import InputError

CHECKPOINTS, SEAL = "checkpoints", "seal.json"
CHUNK = 1 << 22
Settings = Mapping[str, Any]


class Sealing(TrainerCallback):
    """Seals each checkpoint once every process has written its part."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Called behind the last write of each process."""
        processes = PartialState()
        processes.wait_for_everyone()
        if processes.is_main_process:
            seal(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}", self.settings)


def seal(checkpoint: Path, settings: Settings) -> None:
    """Write size and checksum of every file, and the hash of the settings, as the last file of a checkpoint."""
    told = {"settings": _digest(settings), "files": {name: _sum_of(path) for name, path in _files(checkpoint)}}
    with replacing(checkpoint / SEAL) as part:
        part.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def last_checkpoint(out: Path, settings: Settings) -> str | None:
    """The newest whole checkpoint of a run with these settings. None if the run ended before its first checkpoint.

    Prints which newer checkpoints are passed over and why. Raises InputError if none is whole and one was finished,
    because a start from nothing would lose its steps.
    """
    faults = {}
    for checkpoint in _newest_first(out):
        fault = fault_of(checkpoint, settings)
        if fault is None:
            break
        faults[checkpoint] = fault
    else:
        checkpoint = None
    if checkpoint is None and (finished := [path for path in faults if (path / SEAL).exists()]):
        remedy = "put its files back, or begin again in a new folder"
        raise InputError(f"no checkpoint is whole: {faults[finished[0]]}", remedy, file=finished[0])
    place = checkpoint.name if checkpoint else "step 0"
    for path, fault in faults.items():
        print(f"note: {path.name} is passed over, because {fault}; going on from {place}", flush=True)
    return str(checkpoint) if checkpoint else None


def fault_of(checkpoint: Path, settings: Settings) -> str | None:
    """What is wrong with a checkpoint, in words. None if the checkpoint is whole."""
    path = checkpoint / SEAL
    if not path.is_file():
        return f"the checkpoint was not finished ({SEAL} is missing)"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        sums, run = told["files"], told["settings"]
        wanted = {str(name): (size, crc) for name, (size, crc) in sums.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return f"{SEAL} is broken"
    if run != _digest(settings):
        return "the checkpoint belongs to another distillation"
    return _difference(wanted, dict(_files(checkpoint)))


def _difference(wanted: Mapping[str, tuple[int, int]], found: Mapping[str, Path]) -> str | None:
    for name, (size, crc) in wanted.items():
        if name not in found:
            return f"{name} is missing"
        if found[name].stat().st_size != size:
            return f"{name} holds {found[name].stat().st_size} bytes in place of {size}"
        if _sum_of(found[name]) != [size, crc]:
            return f"{name} has other bytes than were written"
    surplus = sorted(found.keys() - wanted.keys())
    return f"{surplus[0]} was added" if surplus else None


def remove_checkpoints(out: Path) -> None:
    """Remove the checkpoints of a finished run. Of a linked folder, other files than checkpoints stay."""
    folder = out / CHECKPOINTS
    for checkpoint in _newest_first(out):
        remove(checkpoint)
    remove(folder)


def remove(folder: Path) -> None:
    """Remove a folder with its files, or a link to a folder without them. Nothing there is well, too."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def _newest_first(out: Path) -> list[Path]:
    """Folders that are named as the Trainer names a checkpoint."""
    named = [path for path in (out / CHECKPOINTS).glob("checkpoint-*") if path.is_dir()]
    numbers = {path: int(match[1]) for path in named if (match := re.fullmatch(r"checkpoint-([0-9]+)", path.name))}
    return sorted(numbers, key=lambda path: numbers[path], reverse=True)


def _files(checkpoint: Path) -> Iterator[tuple[str, Path]]:
    """Files of a checkpoint by their name in the checkpoint. Hidden files, as of network disks, are not looked at."""
    for path in sorted(checkpoint.rglob("*")):
        name = path.relative_to(checkpoint)
        if path.is_file() and str(name) != SEAL and not any(part.startswith(".") for part in name.parts):
            yield str(name), path


def _sum_of(path: Path) -> list[int]:
    """Size in bytes, and CRC-32."""
    size = crc = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            size, crc = size + len(chunk), zlib.crc32(chunk, crc)
    return [size, crc]


def _digest(settings: Settings) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
