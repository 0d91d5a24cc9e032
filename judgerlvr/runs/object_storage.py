"""Copies of a run in object storage, each file compared with the disk byte by byte.

Addresses are those of fsspec, such as ``s3://bucket/runs``. A copy holds the run folder's own files and sealed
checkpoints. The seal of a checkpoint is copied last, so that a copy cut short is no checkpoint.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from judgerlvr.runs.checkpoints import SEAL, STEP
from judgerlvr.runs.lock import LOCK
from judgerlvr.runs.metrics import log_progress
from judgerlvr.runs.stage import CHECKPOINTS, STOP, Stage
from rewards.errors import InputError

FIELD = "checkpoint.upload"
CHUNK = 1 << 24  # bytes compared at a time
# Files that belong to a process of the run.
LEFT_OUT = {LOCK, STOP}


class CopyFailed(Exception):
    """A copy that was not made, or that differs from the disk. Nothing on the disk was changed."""


def opened(address: str) -> tuple[Any, PurePosixPath]:
    """The file system of an address, and the path in that file system.

    Raises:
        InputError: fsspec does not know the kind of address, a package is missing, or the address is refused.
    """
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise InputError(f"{address}: {error}", "install that package on the head and here", field=FIELD) from error
    except Exception as error:  # each file system has errors of its own
        raise InputError(f"{address}: {error}", "give an address that fsspec can open", field=FIELD) from error
    return system, PurePosixPath(path)


def check_storage(address: str) -> None:
    """Write, read and remove a small file.

    Raises:
        InputError: one of the three fails.
    """
    system, root = opened(address)
    probe, text = str(root / f".judgerlvr-{uuid.uuid4().hex}"), b"judgerlvr"
    try:
        system.makedirs(str(root), exist_ok=True)
        system.pipe_file(probe, text)
        there = system.cat_file(probe)
        system.rm_file(probe)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"{address} cannot be written ({reason})", "mend address or rights", field=FIELD) from error
    if there != text:
        raise InputError(f"{address} gives back other bytes than were written", "take another store", field=FIELD)


def copy_elsewhere(stage: Stage, folder: Path) -> bool:
    """Copy a sealed checkpoint, or a folder of one, to ``checkpoint.upload``. False where that failed: a line warns."""
    address = stage.settings.checkpoint.upload
    if not address:
        return True
    name = folder.relative_to(stage.checkpoints)
    try:
        size = upload(stage.run_dir, folder, address)
    except CopyFailed as error:
        log_progress(stage.run_dir, f"warning: {name} was not copied to {address} ({error}); none is removed")
        return False
    log_progress(stage.run_dir, f"{name} copied to {address} and compared, {size / 2**30:.2f} GiB")
    return True


def upload(run_dir: Path, folder: Path, address: str) -> int:
    """Copy a folder of the run and the run folder's own files to ``address``/NAME. Returns the bytes copied.

    Raises:
        CopyFailed: the store refuses a file, or a file that was read back differs.
    """
    # The seal is the last file, because False sorts before True.
    files = [*own_files(run_dir), *sorted(files_below(folder), key=lambda path: path.name == SEAL)]
    try:
        system, base = opened(address)
        there = base / run_dir.name
        return sum(copy_file(system, path, there / path.relative_to(run_dir).as_posix()) for path in files)
    except CopyFailed:
        raise
    except Exception as error:  # each file system has errors of its own
        raise CopyFailed(f"{type(error).__name__}: {error}") from error


def own_files(run_dir: Path) -> Iterator[Path]:
    """Files of the run folder, checkpoints and locks left out."""
    for path in sorted(run_dir.iterdir()):
        if path.is_dir() and path.name != CHECKPOINTS:
            yield from files_below(path)
        elif path.is_file() and path.name not in LEFT_OUT:
            yield path


def files_below(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())


def copy_file(system: Any, path: Path, target: PurePosixPath) -> int:
    """Copy one file and read the copy back.

    Raises:
        CopyFailed: the copy differs.
    """
    system.makedirs(str(target.parent), exist_ok=True)
    size = path.stat().st_size
    system.put_file(str(path), str(target))
    with path.open("rb") as mine, system.open(str(target), "rb") as theirs:
        if not begins_with(mine, theirs, size):
            raise CopyFailed(f"{target} differs from {path}")
    return size


def begins_with(mine: Any, theirs: Any, least: int) -> bool:
    """Whether all bytes of ``theirs``, at least ``least``, are those of ``mine``.

    A log may have grown since its copy.
    """
    read = 0
    while part := theirs.read(CHUNK):
        if mine.read(len(part)) != part:
            return False
        read += len(part)
    return read >= least


def restore(address: str, target: Path) -> int:
    """Copy a run back into the new folder ``target``, with its newest sealed checkpoint. Returns that step.

    Raises:
        InputError: the folder exists, or no sealed checkpoint lies at the address.
    """
    if target.exists():
        raise InputError("exists already", "give a new folder", file=target)
    system, root = opened(address)
    try:
        paths = [PurePosixPath(path) for path in system.find(str(root))]
        step = newest([path.relative_to(root) for path in paths])
        partial = target.with_name(f".{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        for path in wanted(paths, root, step):
            local = partial / path.relative_to(root)
            local.parent.mkdir(parents=True, exist_ok=True)
            system.get_file(str(path), str(local))
    except (OSError, ValueError) as error:
        raise InputError(f"{address}: {error}", "give the address of a run's copy") from error
    partial.rename(target)
    return step


def newest(places: Iterable[PurePosixPath]) -> int:
    """The largest step with a seal.

    Raises:
        InputError: there is none.
    """
    folders = [STEP.fullmatch(path.parts[1]) for path in places if len(path.parts) == 3 and path.name == SEAL]
    steps = [int(found.group(1)) for found in folders if found]
    if not steps:
        raise InputError("no sealed checkpoint lies there", "give the address of a run's copy, such as URL/judge")
    return max(steps)


def wanted(paths: Iterable[PurePosixPath], root: PurePosixPath, step: int) -> Iterator[PurePosixPath]:
    """The run's own files, and those of one checkpoint."""
    for path in paths:
        parts = path.relative_to(root).parts
        if parts[0] != CHECKPOINTS or (len(parts) > 1 and parts[1] == f"global_step_{step}"):
            yield path
