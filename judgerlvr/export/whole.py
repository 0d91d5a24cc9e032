"""Whether a checkpoint is whole, told before anything starts that would load the checkpoint."""

from __future__ import annotations

import zipfile
from pathlib import Path

from judgerlvr.export.shards import RANK_KINDS, rank_file, saved_ranks
from judgerlvr.runs.checkpoints import TAKE_AWAY, Progress, read_seal
from rewards.errors import CommandFailed, InputError, reading

# verl's state of the data order. A refresh of the judge data renames the state, so that the order begins anew.
DATA_STATE, BEFORE_REFRESH = "data.pt", "data.before-refresh.pt"


def check_checkpoint(checkpoint: Path) -> None:
    """Check what a run would go on from: the seal, and that each rank's files are whole. No tensor is read.

    Raises:
        InputError: a file is missing, cut short or no archive of torch.
    """
    read_seal(checkpoint, Progress)
    try:
        world = saved_ranks(checkpoint / "actor")
    except CommandFailed as error:
        raise InputError(str(error), TAKE_AWAY) from error
    files = [rank_file(checkpoint / "actor", kind, world, rank) for kind in RANK_KINDS for rank in range(world)]
    data_state = checkpoint / (BEFORE_REFRESH if (checkpoint / BEFORE_REFRESH).exists() else DATA_STATE)
    for path in (*files, data_state):
        _check_archive(path)


def _check_archive(path: Path) -> None:
    """Raise an InputError for no whole archive. The list of contents stands at the end of an archive."""
    if not path.is_file():
        raise InputError("a file of the checkpoint is missing", TAKE_AWAY, file=path)
    with reading("a damaged file of the checkpoint", TAKE_AWAY, file=path), zipfile.ZipFile(path):
        return
