"""A checkpoint as a policy for others: written beside its place, proved, and only then put there."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from judgerlvr.export.carried import carry
from judgerlvr.export.change import Change, change
from judgerlvr.export.proof import prove
from judgerlvr.export.shards import Shards
from judgerlvr.export.source import Source, source_of
from judgerlvr.export.writer import Writer
from judgerlvr.models.tensors import empty_model
from judgerlvr.runs.checkpoints import POLICY
from judgerlvr.runs.lock import held
from rewards.errors import MACHINE, CommandFailed

Tell = Callable[[str], None]


def silent(_: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Exported:
    """A proved export: its folder, the dtype of its tensors, and how its weights differ from the base's."""

    folder: Path
    dtype: torch.dtype
    change: Change

    def __str__(self) -> str:
        return f"{str(self.dtype).removeprefix('torch.')}, equal to the trainer's shards; {self.change}"


def export_policy(checkpoint: Path, tell: Tell = silent) -> Exported:
    """The policy of a sealed checkpoint in its folder ``policy``, in the dtype in which the run's rollouts ran.

    A policy that is there already is proved again and left alone. Memory beside the mapped shards: twice the largest
    tensor at most. ``tell`` gets a line for each part of the work, with its seconds.

    Raises:
        ExportMismatch: shards are missing or damaged, or the export is not what they hold.
        InputError: no checkpoint of a run there, its base is gone, or another process exports the checkpoint.
        CommandFailed: the disk cannot hold the export.
    """
    source, policy = source_of(checkpoint), checkpoint / POLICY
    if policy.is_dir():
        # An older export may have been damaged since, so being there proves nothing.
        _prove(policy, source, tell)
    else:
        with held(checkpoint):
            _make(source, policy, tell)
    with _timed("compared with the base", tell):
        changed = change(policy, source.base)
    return Exported(policy, source.dtype, changed)


@contextmanager
def _timed(what: str, tell: Tell) -> Iterator[None]:
    begun = time.monotonic()
    yield
    tell(f"policy {what} in {time.monotonic() - begun:.0f} s")


def _prove(policy: Path, source: Source, tell: Tell) -> None:
    with _timed("compared with the shards", tell):
        prove(policy, Shards(source.shards), source.dtype)


def _make(source: Source, policy: Path, tell: Tell) -> None:
    for left in policy.parent.glob(f".{policy.name}.*"):
        # Of an export that was killed. The caller holds the lock, so nobody writes there.
        shutil.rmtree(left)
    # A folder under another name, so that a crash never leaves half a policy under the right name.
    folder = policy.with_name(f".{policy.name}.{os.getpid()}")
    folder.mkdir()
    try:
        with _timed("written", tell):
            _write(source, Shards(source.shards), folder)
        _prove(folder, source, tell)
        folder.rename(policy)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(source: Source, shards: Shards, folder: Path) -> None:
    writer = Writer(shards, empty_model(source.base, source.trust_remote_code), source.dtype)
    # Checked before the first byte, because the size is known from the plan alone.
    free = shutil.disk_usage(folder).free
    if free < writer.bytes:
        amounts = f"{free / 2**30:.2f} GiB free, {writer.bytes / 2**30:.2f} needed for the policy"
        problem, remedy = MACHINE[errno.ENOSPC]
        raise CommandFailed(f"{folder.parent}: {problem}, {amounts}; {remedy}")
    carry(source.base, folder, source.dtype)
    writer.write(folder)
